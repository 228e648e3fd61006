// A kernel on subgroup matrices, as it is written or minified, in a form that wgsl_reflect, which knows none, can read and run:
// each memory access stays, what is computed does not. Every lane of a subgroup reads all of a matrix, which is more than it does,
// and writes its own share of one, so that no two lanes of a subgroup write the same element.

const ALIAS = /^alias (\w+) ?= ?subgroup_matrix_\w+<\w+, ?(\w+), ?(\w+)>;$/gm;
const LOAD = /subgroupMatrixLoad<(\w+), ?(row|col)_major>\(&(\w+), ?/g;
const STORE = /subgroupMatrixStore<row_major>\(&(\w+), ?([^;]*), ?\w+\[i\]\[j\], ?(\w+)\);/g;

/** Reads an array's lines of vec4, from element `at` on. */
function reader(shapes, [, type, major, array]) {
  const { columns, rows } = shapes[type];
  const [lines, width] = major === "row" ? [rows, columns] : [columns, rows];
  return `fn read_${array}(at: u32, line: u32) -> f32 {
  var sum = 0.0;
  for (var r = 0u; r < ${lines}; r++) {
    for (var c = 0u; c < ${width} / 4u; c++) { sum += f32(${array}[at + r * line + c].x); }
  }
  return sum;
}`;
}

/** Writes a lane's share of an array's lines. */
const writer = ({ columns, rows }, [, array]) => `fn write_${array}(at: u32, line: u32, lane: u32) {
  for (var i = lane; i < ${rows} * ${columns}; i += LANES) { ${array}[at + i / ${columns} * line + i % ${columns}] = 0.0; }
}`;

const unique = (texts) => [...new Set(texts)];

/** The text; as it is where there are no subgroup matrices. Needs an entry with `thread` and `@builtin(subgroup_id)`. */
export function withoutMatrices(code) {
  const found = [...code.matchAll(ALIAS)].map(([text, name, columns, rows]) => ({ text, name, columns, rows }));
  if (found.length === 0) return code;
  const shapes = Object.fromEntries(found.map((shape) => [shape.name, shape]));
  const sums = found.find(({ text }) => text.includes("subgroup_matrix_result"));
  const functions = unique([
    "fn multiplied(a: f32, b: f32, c: f32) -> f32 { return a * b + c; }",
    ...[...code.matchAll(LOAD)].map((load) => reader(shapes, load)),
    ...[...code.matchAll(STORE)].map((store) => writer(sums, store)),
  ]);
  const [, block] = /@builtin\(subgroup_id\) ?(\w+): ?u32/.exec(code);
  const text = code
    .replace(/^enable chromium_experimental_subgroup_matrix;/m, "")
    .replace(ALIAS, "alias $1 = f32;")
    .replace(LOAD, "read_$3(")
    .replace(STORE, "write_$1($2, $3, thread % LANES);")
    .replaceAll("subgroupMatrixMultiplyAccumulate(", "multiplied(")
    .replace(/,\s*@builtin\(subgroup_id\) ?\w+: ?u32/, "")
    .replace(/@compute[^{]*\{/, (entry) => `${entry}\n  let ${block} = thread / LANES;`);
  return `${text}\n${functions.join("\n\n")}\n`;
}

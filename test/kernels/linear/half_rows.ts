import { half_rows } from "../../../src/gpu/kernels.gen.ts";
import { floatOf, halfOf } from "../matrix.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** Constants: pipelines are what costs time, so cases share them. */
const VARIANTS = [
  { WG: 64, NORM: 1 },
  { WG: 4, NORM: 0 },
  { WG: 128, NORM: 0 },
  { WG: 8, NORM: 1 },
] as const;

interface Shape {
  rows: number;
  first: number;
  depth: number;
  eps: number;
}

/** Random rows: some larger than f16 holds, some with one value far above the others, some zero or of numbers near the least. */
function rowOf(uniform: () => number, depth: number): Float32Array {
  const row = floats(uniform, depth, 10 ** pick(uniform, [-30, -6, 0, 4, 8, 17]));
  const kind = pick(uniform, ["plain", "plain", "spike", "zero", "tiny"]);
  if (kind === "spike") row[Math.floor(uniform() * depth)] = -(2 ** 17);
  if (kind === "zero") row.fill(0);
  if (kind === "tiny") row.fill(2e-38);
  return row;
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const constants = tiny ? ({ WG: 4, NORM: 1 } as const) : VARIANTS[seed % VARIANTS.length]!;
  const { rows, first, depth, eps }: Shape = {
    rows: tiny ? 2 : pick(uniform, [1, 2, 3, 7]),
    first: pick(uniform, [0, 0, 1, 4]),
    depth: tiny ? 24 : pick(uniform, [4, 12, 60, 64, 576, 1540]),
    eps: Math.fround(pick(uniform, [1e-5, 0.5])),
  };
  const x = new Float32Array((first + rows + 1) * depth).fill(Number.NaN); // rows that decode, and the one beyond
  for (let t = 0; t < rows; t++) x.set(rowOf(uniform, depth), (first + t) * depth);
  const gamma = floats(uniform, depth, 2);
  const row = (t: number) => x.subarray((first + t) * depth, (first + t + 1) * depth);
  const weighed = (t: number) => Float64Array.from(row(t), (value, k) => value * (constants.NORM ? gamma[k]! : 1));
  const normOf = (t: number): number =>
    constants.NORM ? 1 / Math.sqrt(row(t).reduce((sum, value) => sum + value * value, 0) / depth + eps) : 1;

  /** The norm's part of a factor is a sum of K squares and a root, the other one a power of two. */
  const relative = (constants.NORM ? 8 * Math.sqrt(depth) + 8 : 0) * 2 ** -24;
  /** What a power of two was, of a factor: exactly, where there is no norm. */
  const scaleOf = (factor: number, t: number): number => 2 ** Math.round(Math.log2(factor / normOf(t)));

  const judgeFactors = (words: Uint32Array): string | null => {
    for (let t = 0; t < rows; t++) {
      const [factor, most] = [floatOf(words[t]!), Math.max(...weighed(t).map(Math.abs))];
      const scale = scaleOf(factor, t);
      const off = Math.abs(factor - scale * normOf(t));
      if (!(off <= relative * factor)) return `: factor of row ${t} = ${factor}, want ${scale * normOf(t)}`;
      const scaled = most / scale; // the largest of the row
      const isTop = scaled >= 2 ** 14 * (1 - 2 ** -22) && scaled <= 2 ** 15;
      if (most >= 2 ** -111 && !isTop) return `: largest of row ${t} = ${scaled}, want 2¹⁴ to 2¹⁵`;
    }
    return null;
  };
  /** Nearest f16: half of its last place; the product with gamma is rounded to f32 before. Subnormals of either may be zero. */
  const judgeHalves = (words: Uint32Array): string | null => {
    for (let t = 0; t < rows; t++) {
      const values = weighed(t);
      const most = Math.max(...values.map(Math.abs));
      const exponent = Math.max(Math.floor(Math.log2(Math.fround(most))) + 127, 15);
      for (const [k, value] of values.entries()) {
        const at = t * depth + k;
        const got = halfOf((words[at >> 1]! >>> (16 * (at % 2))) & 0xffff);
        const want = value * 2 ** (141 - exponent);
        const slack = Math.abs(want) * (2 ** -11 + 2 ** -23) + 2 ** -14 + 2 ** (15 - exponent);
        const isNext = most > 0 && Math.abs(got / 2 - want) <= slack; // where f32 rounds the largest up to a power of two
        if (!(Math.abs(got - want) <= slack) && !isNext) return `: ${k} of row ${t} = ${got}, want ${want}`;
      }
    }
    return null;
  };
  return {
    label: `${JSON.stringify({ rows, first, depth, eps })} ${JSON.stringify(constants)}`,
    constants,
    params: { first, depth, eps },
    grid: [rows, 1, 1] as const,
    buffers: {
      x,
      gamma,
      halves: new Uint32Array((rows * depth) / 2).fill(0x7fc0dead),
      factors: new Float32Array(rows).fill(Number.NaN),
    },
    want: { halves: judgeHalves, factors: judgeFactors },
    terms: depth,
  };
}

export default spec({
  kernel: half_rows,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["missing barrier", "    workgroupBarrier();\n  }\n  let exponent", "  }\n  let exponent"],
    ["rows from 0 on", "params.first + wg.x", "wg.x"],
    ["the largest of the first thread", "max(partial[thread].y, other.y)", "partial[thread].y"],
    ["no gamma", "return raw * gamma[k4];", "return raw;"],
    ["no norm", "if (NORM == 1u) { factor *=", "if (NORM == 7u) { factor *="],
    ["large rows overflow", "let scale = bitcast<f32>((127u + TOP - exponent) << 23u);", "let scale = 1.0;"],
  ],
});

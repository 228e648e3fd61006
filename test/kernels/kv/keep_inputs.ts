import { keep_inputs } from "../../../src/gpu/kernels.gen.ts";
import { pick, random, spec } from "../spec.ts";
import {
  drawInputPages,
  drawInputs,
  drawRow,
  type InputShape,
  inputWords,
  keptNumber,
  lengthOf,
} from "./input_case.ts";

/** Where a row is kept, and what it was. */
interface Kept {
  word: number;
  row: Float32Array;
}

/** Every kept row within the rounding of its format, all other words as before. */
function judge(shape: InputShape, kept: readonly Kept[], before: Uint32Array, words: Uint32Array): string | null {
  const count = inputWords(shape);
  const rest = before.slice();
  for (const { word, row } of kept) {
    const own = words.subarray(word, word + count);
    rest.set(own, word);
    const unit = shape.BITS === 32 ? 0 : lengthOf(row);
    for (const [i, value] of row.entries()) {
      const error = shape.BITS === 32 ? 0 : 2 ** -10.9 * Math.abs(value) + unit * 2 ** -24;
      const got = keptNumber(own, shape, i);
      if (!(Math.abs(got - value) <= error)) return `: channel ${i} at ${word} is ${got}, want ${value} ± ${error}`;
    }
  }
  const at = rest.findIndex((word, i) => words[i] !== word);
  return at < 0 ? null : `[${at}] = ${words[at]} was written, want untouched`;
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const shape = drawInputs(uniform, tiny);
  const { D, BITS, WG } = shape;
  const T = tiny ? 3 : pick(uniform, [1, 2, 5, 40]);
  const rowAt = tiny ? 1 : pick(uniform, [0, 3]);
  const pages = 3;
  const { rows, at, length, params } = drawInputPages(uniform, shape, pages, rowAt + T);
  const first = Math.floor(uniform() * (32 * pages - T));
  const inputs = Array.from({ length: T }, (_, t) => (t === 1 ? new Float32Array(D) : drawRow(uniform, shape)));
  const kept = inputs.flatMap((row, t) => {
    const sequence = Math.floor(uniform() * 2);
    rows.set([7, first + t, sequence, 9], (rowAt + t) * 4);
    const { word, here } = at(sequence, first + t);
    return here ? [{ word, row }] : [];
  });
  const before = new Uint32Array(length).fill(0x7fff7fff);
  return {
    label: `T ${T} D ${D} BITS ${BITS} WG ${WG} from slot ${first}`,
    constants: { D, BITS, WG },
    params: { ...params, rowAt },
    grid: [T, 1, 1] as const,
    buffers: { x: Float32Array.from(inputs.flatMap((row) => [...row])), rows, kept: before },
    want: { kept: (words: Uint32Array) => judge(shape, kept, before, words) },
    terms: D,
  };
}

export default spec({
  kernel: keep_inputs,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    [
      "rows longer than f16 reaches",
      "let length = max(sqrt(row_sum(lane, squares) / f32(D)), 1e-30);",
      "let length = 1.0;",
    ],
    ["the length is not kept", "if (lane == 0u) { kept[to] = bitcast<u32>(length); }", ""],
    ["another arena's words", "if (entry.z != params.arena) { return; }", ""],
    ["one sequence for all", "row.z * params.listLength", "0u * params.listLength"],
    ["slot 0 for all", "row.y % 32u * input_words()", "0u"],
    ["records from 0 on", "rows[params.rowAt + wg.x]", "rows[wg.x]"],
  ],
});

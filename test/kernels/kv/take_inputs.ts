import { take_inputs } from "../../../src/gpu/kernels.gen.ts";
import { pick, random, spec } from "../spec.ts";
import { drawInputPages, drawInputs, drawRow, keptNumber, lengthOf, wordsOf } from "./input_case.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const shape = drawInputs(uniform, tiny);
  const { D, BITS, WG } = shape;
  const T = tiny ? 3 : pick(uniform, [1, 2, 5, 40, 64]);
  const recordAt = tiny ? 1 : pick(uniform, [0, 3]);
  const pages = 3;
  const { rows, at, length, params } = drawInputPages(uniform, shape, pages, recordAt + T);
  const first = tiny ? 31 : Math.floor(uniform() * (32 * pages - T));
  const sequence = pick(uniform, [0, 1]);
  const kept = new Uint32Array(length).fill(0x7fff7fff);
  const wanted = rows.slice();
  const x = new Float64Array(T * D).fill(Number.NaN);
  for (let t = 0; t < T; t++) {
    const { word, here } = at(sequence, first + t);
    const row = drawRow(uniform, shape);
    const words = wordsOf(row, shape, Math.fround(lengthOf(row)));
    kept.set(words, word);
    if (!here) continue;
    for (let i = 0; i < D; i++) x[t * D + i] = keptNumber(words, shape, i);
    wanted.set([first + t, first + t, sequence, 0], (recordAt + t) * 4);
  }
  return {
    label: `T ${T} D ${D} BITS ${BITS} WG ${WG} from token ${first}`,
    constants: { D, BITS, WG },
    params: { ...params, recordAt, first, sequence },
    grid: [T, 1, 1] as const,
    buffers: { rows, kept, x: new Float32Array(T * D).fill(Number.NaN) },
    want: { rows: wanted, x },
    terms: 1,
  };
}

export default spec({
  kernel: take_inputs,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["numbers without their length", "length * unpack2x16float", "1.0 * unpack2x16float"],
    ["records without their sequence", "vec4u(token, token, params.sequence, 0u)", "vec4u(token, token, 0u, 0u)"],
    ["records of rows", "vec4u(token, token, params.sequence, 0u)", "vec4u(wg.x, wg.x, params.sequence, 0u)"],
    ["another arena's words", "if (entry.z != params.arena) { return; }", ""],
    ["another sequence", "let list = params.sequence * params.listLength;", "let list = 0u * params.listLength;"],
    ["slots from 0 on", "token % 32u * input_words()", "wg.x % 32u * input_words()"],
  ],
});

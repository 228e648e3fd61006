import { ceilDiv } from "../../../src/errors.ts";
import { less_state } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [WG, G, NUMBERS] = tiny ? [4, 2, 7] : [pick(uniform, [32, 64]), pick(uniform, [1, 2, 3]), pick(uniform, [72, 520, 64, 1])]; // prettier-ignore
  const [entries, first, behind] = [pick(uniform, [1, 2, 5, 32]), pick(uniform, [0, 1, 4]), pick(uniform, [0, 2])];
  const sums = floats(uniform, G * entries * NUMBERS, 1);
  const want = new Float64Array((first + G + behind) * NUMBERS).fill(Number.NaN);
  for (let g = 0; g < G; g++)
    for (let i = 0; i < NUMBERS; i++) {
      let sum = 0;
      for (let entry = 0; entry < entries; entry++) sum += sums[(g * entries + entry) * NUMBERS + i]!;
      want[(first + g) * NUMBERS + i] = sum;
    }
  return {
    label: `G ${G} numbers ${NUMBERS} entries ${entries} first ${first} WG ${WG}`,
    constants: { WG, NUMBERS },
    params: { entries, first },
    grid: [ceilDiv(NUMBERS, WG), G, 1] as const,
    buffers: { sums, state: new Float32Array(want.length).fill(9) },
    want: { state: want },
    terms: entries,
    magnitude: entries,
  };
}

export default spec({
  kernel: less_state,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["the first entry only", "i < params.entries", "i < 1u"],
    ["another sequence's state", "(params.first + wg.y)", "wg.y"],
    ["beyond the state", "if (id.x >= NUMBERS) { return; }", ""],
    ["added to what was there", "NUMBERS + id.x] = sum", "NUMBERS + id.x] += sum"],
  ],
});

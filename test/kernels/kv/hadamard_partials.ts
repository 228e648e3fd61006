import { hadamard_partials } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";
import { drawBasis, hadamardOf } from "./hadamard_query.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const basis = drawBasis(uniform, tiny);
  const { E, BLOCK } = basis;
  const H = pick(uniform, [1, 2, 5]);
  const rows = tiny ? 2 : pick(uniform, [1, 2, 6]);
  const splits = pick(uniform, [1, 2, 4]);
  const entry = pick(uniform, [0, 1, 3]);
  const entries = entry + splits + pick(uniform, [0, 1]);
  const partials = new Float32Array((rows * H * entries + 1) * (E + 2)).fill(NaN);
  const want = new Float64Array(partials.length).fill(NaN);
  let magnitude = 0;
  for (let m = 0; m < rows * H; m++) {
    for (let split = 0; split < splits; split++) {
      const at = (m * entries + entry + split) * (E + 2);
      const acc = floats(uniform, E, 3);
      partials.set(acc, at);
      want.set(hadamardOf(acc, BLOCK), at);
      magnitude = Math.max(magnitude, 3 * Math.sqrt(BLOCK));
    }
  }
  return {
    label: `H ${H} E ${E} block ${BLOCK} rows ${rows} splits ${splits} at ${entry} of ${entries}`,
    constants: { H, ...basis },
    params: { entries, entry },
    grid: [H, splits, rows] as const,
    buffers: { partials },
    want: { partials: want },
    terms: BLOCK,
    ulps: 2,
    magnitude,
  };
}

export default spec({
  kernel: hadamard_partials,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["another's partials", "params.entry + wg.y", "wg.y"],
    ["maximum and sum as well", "(E + 2u);", "E;"],
    ["without the scale", " * hadamard_scale()", ""],
  ],
});

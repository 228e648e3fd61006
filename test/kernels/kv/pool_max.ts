import { pool_max } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const lists = tiny ? 1 : pick(uniform, [1, 2, 3]);
  const first = pick(uniform, [0, 0, 2]);
  const slots = tiny ? 9 : pick(uniform, [1, 2, 3, 31, 32, 65, 150]);
  const [WG, RADIUS] = tiny ? ([8, 3] as const) : ([[64, 3], [64, 0], [32, 1], [64, 5]] as const)[seed % 4]!; // prettier-ignore
  const stride = slots + pick(uniform, [0, 3, 32]);
  const scores = new Float32Array((first + lists) * stride).fill(Number.NaN);
  const want = new Float64Array(lists * stride).fill(Number.NaN);
  for (let list = 0; list < lists; list++) {
    const values = floats(uniform, slots, 4);
    scores.set(values, (first + list) * stride);
    for (let s = 0; s < slots; s++)
      want[list * stride + s] = Math.max(...values.slice(Math.max(0, s - RADIUS), s + RADIUS + 1));
  }
  return {
    label: `lists ${lists} slots ${slots} stride ${stride} WG ${WG} RADIUS ${RADIUS}`,
    constants: { WG, RADIUS },
    params: { first, stride, slots },
    grid: [Math.ceil(slots / WG), lists, 1] as const,
    buffers: { scores, pooled: new Float32Array(want.length).fill(7) },
    want: { pooled: want },
    terms: 0, // exact
  };
}

export default spec({
  kernel: pool_max,
  cases: 64,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["beyond the first slot", "max(slot, RADIUS) - RADIUS", "slot"],
    ["beyond the last slot", "min(slot + RADIUS + 1u, params.slots)", "slot + RADIUS + 1u"],
    ["one too few", "slot + RADIUS + 1u", "slot + RADIUS"],
    ["another list", "(params.first + wg.y) * params.stride", "params.first * params.stride"],
  ],
});

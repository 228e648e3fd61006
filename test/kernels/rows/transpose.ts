import { ceilDiv } from "../../../src/errors.ts";
import { transpose } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const T = tiny ? 6 : pick(uniform, [1, 2, 7, 63, 64, 65, 130]);
  const D = tiny ? 8 : 4 * pick(uniform, [1, 2, 13, 16, 48, 144]);
  const x = floats(uniform, T * D);
  const want = new Float64Array((D + 1) * T).fill(1);
  for (let t = 0; t < T; t++) for (let k = 0; k < D; k++) want[k * T + t] = x[t * D + k]!;
  return {
    label: `T ${T} D ${D} WG ${WG}`,
    constants: { WG },
    params: { rows: T, depth: D },
    grid: [ceilDiv(T, WG), D / 4 + 1, 1] as const,
    buffers: { x, xt: new Float32Array((D + 1) * T + 5).fill(7) },
    want: { xt: want },
    terms: 1,
  };
}

export default spec({
  kernel: transpose,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["no row of ones", "xt[params.depth * rows + id.x] = 1.0;", ""],
    ["rows of another width", "id.x * fours + id.y", "id.x * (fours + 1u) + id.y"],
    ["writes past the last row", "if (id.x >= rows) { return; }", ""],
    ["third input twice", "= four.w;", "= four.z;"],
  ],
});

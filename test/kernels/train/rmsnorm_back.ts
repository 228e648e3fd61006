import { rmsnorm_back } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 8 : pick(uniform, [4, 32, 64]);
  const D = tiny ? 44 : 4 * pick(uniform, [1, 2, 3, WG / 4, WG - 1, WG, WG + 1, 2 * WG + 3, 48, 144]);
  const M = tiny ? 3 : pick(uniform, [1, 2, 3, 7]);
  const ADD = pick(uniform, [0, 1]);
  const size = 10 ** pick(uniform, [-2, -1, 0, 2]);
  const x = floats(uniform, M * D, size);
  const weight = floats(uniform, D, 2);
  const dy = floats(uniform, M * D);
  const dx = new Float32Array(M * D + 4).fill(7);
  if (ADD) dx.set(floats(uniform, M * D, 1 / size));
  const eps = Math.fround(1e-5);
  const want = Float64Array.from(dx.subarray(0, M * D), (value) => ADD * value);
  let magnitude = 0;
  for (let t = 0; t < M; t++) {
    const at = (i: number) => t * D + i;
    let [squares, along] = [0, 0];
    for (let i = 0; i < D; i++) {
      squares += x[at(i)]! ** 2;
      along += x[at(i)]! * dy[at(i)]! * weight[i]!;
    }
    const scale = 1 / Math.sqrt(squares / D + eps);
    for (let i = 0; i < D; i++) {
      const parts = [scale * dy[at(i)]! * weight[i]!, (-x[at(i)]! * along * scale ** 3) / D];
      magnitude = Math.max(magnitude, Math.abs(want[at(i)]!) + 2 * scale);
      want[at(i)]! += parts[0]! + parts[1]!;
    }
  }
  return {
    label: `M ${M} D ${D} WG ${WG} ADD ${ADD} size ${size}`,
    constants: { WG, D, ADD },
    params: { eps },
    grid: [M, 1, 1] as const,
    buffers: { x, weight, dy, dx },
    want: { dx: want },
    terms: D,
    ulps: 16, // inverseSqrt: 2 ULP, cubed
    magnitude,
  };
}

export default spec({
  kernel: rmsnorm_back,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(5, true),
  mutants: [
    ["the norm's own gradient forgotten", " - back * x[start + i]", ""],
    ["always adds", "if (ADD == 1u)", "if (true)"],
    ["missing epsilon", "f32(D) + params.eps", "f32(D)"],
    ["weight forgotten in the sum", "dy[start + i] * weight[i]);", "dy[start + i]);"],
  ],
});

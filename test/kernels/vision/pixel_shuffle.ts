import { ceilDiv } from "../../../src/errors.ts";
import { pixel_shuffle } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [4, 32, 64]);
  const S = tiny ? 2 : pick(uniform, [1, 2, 3, 4]);
  const side = S * (tiny ? 2 : pick(uniform, [1, 2, 3, 5]));
  const D = 4 * (tiny ? 3 : pick(uniform, [1, 2, WG - 1, WG, WG + 1, 2 * WG + 3]));
  const x = floats(uniform, side * side * D);
  const want = new Float64Array(side * side * D);
  let to = 0;
  for (let v = 0; v < side; v += S)
    for (let u = 0; u < side; u += S)
      for (let j = 0; j < S; j++)
        for (let i = 0; i < S; i++, to++) {
          const from = (v + j) * side + u + i;
          want.set(x.subarray(from * D, (from + 1) * D), to * D);
        }
  return {
    label: `side ${side} S ${S} D ${D} WG ${WG}`,
    constants: { WG, S, D },
    params: { side },
    grid: [ceilDiv(D / 4, WG), side * side, 1] as const,
    buffers: { x, y: new Float32Array(side * side * D + 4).fill(7) },
    want: { y: want },
    terms: 1,
  };
}

export default spec({
  kernel: pixel_shuffle,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["squares turned", "down / S * (params.side / S) + across / S", "across / S * (params.side / S) + down / S"],
    ["patches of a square turned", "down % S * S + across % S", "across % S * S + down % S"],
    ["the last four left out", "id.x >= width", "id.x + 1u >= width"],
  ],
});

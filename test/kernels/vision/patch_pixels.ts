import { ceilDiv } from "../../../src/errors.ts";
import { patch_pixels } from "../../../src/gpu/kernels.gen.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [4, 32, 64]);
  const P = tiny ? 2 : pick(uniform, [1, 2, 4, 7, 14, 16]);
  const side = tiny ? 2 : pick(uniform, [1, 2, 3, 4]);
  const pixels = Uint32Array.from({ length: (side * P) ** 2 }, () => Math.floor(uniform() * 2 ** 32));
  const scale = [0, 1, 2].map(() => Math.fround(1 + 3 * uniform()));
  const shift = [0, 1, 2].map(() => Math.fround(2 * uniform() - 2));
  const want = new Float64Array(side * side * 3 * P * P);
  for (let y = 0; y < side * P; y++)
    for (let x = 0; x < side * P; x++)
      for (let c = 0; c < 3; c++) {
        const patch = Math.floor(y / P) * side + Math.floor(x / P);
        const byte = (pixels[y * side * P + x]! >>> (8 * c)) & 255;
        want[((patch * 3 + c) * P + (y % P)) * P + (x % P)] = (byte / 255) * scale[c]! + shift[c]!;
      }
  const [scaleR, scaleG, scaleB] = scale as [number, number, number];
  const [shiftR, shiftG, shiftB] = shift as [number, number, number];
  return {
    label: `side ${side} P ${P} WG ${WG}`,
    constants: { WG, P },
    params: { side, scaleR, scaleG, scaleB, shiftR, shiftG, shiftB },
    grid: [ceilDiv(P * P, WG), side * side, 1] as const,
    buffers: { pixels, y: new Float32Array(want.length + 4).fill(7) },
    want: { y: want },
    terms: 1,
    ulps: 4, // unpack4x8unorm: a division
    magnitude: 6,
  };
}

export default spec({
  kernel: patch_pixels,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["red for blue", "colour.b", "colour.r"],
    ["patches turned", "id.y / params.side;", "id.y % params.side;"],
    ["one row of pixels too far", "patchDown * P + id.x / P", "patchDown * P + id.x / P + 1u"],
    ["shift forgotten", " + params.shiftG", ""],
  ],
});

import { ceilDiv } from "../../../src/errors.ts";
import { rotate } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64]);
  const heads = tiny ? 2 : pick(uniform, [1, 2, 3, 9]);
  const width = tiny ? 6 : pick(uniform, [2, 8, 24, 64, 128]);
  const T = tiny ? 3 : pick(uniform, [1, 2, 7, 33]);
  const direction = pick(uniform, [1, -1]);
  const half = width / 2;
  const x = new Float32Array(T * heads * width + 3).fill(7);
  x.set(floats(uniform, T * heads * width));
  const rope = new Float32Array((T + 1) * width).fill(Number.NaN, T * width);
  for (let i = 0; i < T * half; i++) {
    const angle = 100 * uniform();
    rope.set([Math.cos(angle), Math.sin(angle)], 2 * i);
  }
  const want = new Float64Array(T * heads * width);
  for (let t = 0; t < T; t++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < half; i++) {
        const at = (t * heads + h) * width + i;
        const [cosine, sine] = [rope[2 * (t * half + i)]!, direction * rope[2 * (t * half + i) + 1]!];
        want[at] = x[at]! * cosine - x[at + half]! * sine;
        want[at + half] = x[at + half]! * cosine + x[at]! * sine;
      }
  return {
    label: `T ${T} heads ${heads} E ${width} direction ${direction} WG ${WG}`,
    constants: { WG },
    params: { heads, width, direction },
    grid: [ceilDiv(heads * half, WG), T, 1] as const,
    buffers: { x, rope },
    want: { x: want },
    terms: 2,
  };
}

export default spec({
  kernel: rotate,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["one direction only", "params.direction * angle.y", "angle.y"],
    ["the first row's angles", "rope[id.y * pairs", "rope[0u * pairs"],
    ["threads past the row", "if (id.x >= params.heads * pairs) { return; }", ""],
  ],
});

import { ceilDiv } from "../../../src/errors.ts";
import { trim } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 8 : pick(uniform, [32, 64]);
  const WIDTH = tiny ? 6 : pick(uniform, [2, 4, 20, 36, 62, 64, 66, 100]);
  const E = tiny ? 8 : WIDTH + pick(uniform, [0, 2, 4, 6]);
  const heads = tiny ? 2 : pick(uniform, [1, 2, 3, 9]);
  const T = tiny ? 2 : pick(uniform, [1, 2, 5]);
  const x = new Float32Array(T * heads * E).fill(Number.NaN); // padding
  const want = new Float64Array(T * heads * WIDTH);
  for (let head = 0; head < T * heads; head++) {
    for (let e = 0; e < WIDTH; e++) {
      const value = floats(uniform, 1)[0]!;
      x[head * E + (e < WIDTH / 2 ? e : e + (E - WIDTH) / 2)] = value;
      want[head * WIDTH + e] = value;
    }
  }
  return {
    label: `T ${T} heads ${heads} E ${E} WIDTH ${WIDTH} WG ${WG}`,
    constants: { WG, E, WIDTH },
    params: { heads },
    grid: [ceilDiv(heads * WIDTH, WG), T, 1] as const,
    buffers: { x, y: new Float32Array(want.length + 3).fill(7) },
    want: { y: want },
    terms: 1,
  };
}

export default spec({
  kernel: trim,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(2, true),
  mutants: [
    ["padding in the middle stays", "e + select(0u, (E - WIDTH) / 2u, e >= WIDTH / 2u)", "e"],
    ["rows overlap", "id.y * columns + id.x", "id.y * WIDTH + id.x"],
    ["writes beyond the row", "if (id.x >= columns) { return; }", ""],
  ],
});

import { think_queries } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [H, G, E] = tiny ? ([2, 1, 8] as const) : ([[9, 3, 64], [4, 4, 24], [6, 2, 80], [8, 1, 128]] as const)[seed % 4]!; // prettier-ignore
  const ADD = seed % 8 > 3;
  const rows = tiny ? 2 : pick(uniform, [0, 1, 5, 32]);
  const [firstRow, first, R] = [pick(uniform, [0, 3]), pick(uniform, [0, 2]), H / G];
  const q = floats(uniform, (firstRow + rows + 1) * H * E, 2).fill(NaN, (firstRow + rows) * H * E);
  q.fill(NaN, 0, firstRow * H * E);
  const squares = floats(uniform, (first + G + 1) * E).map(Math.abs);
  const want = new Float64Array(squares.length).fill(NaN);
  for (let g = 0; g < G; g++) {
    for (let e = 0; e < E; e++) {
      let sum = ADD ? squares[(first + g) * E + e]! : 0;
      for (let i = 0; i < rows * R; i++) sum += q[((firstRow + Math.floor(i / R)) * H + g * R + (i % R)) * E + e]! ** 2;
      want[(first + g) * E + e] = sum;
    }
  }
  return {
    label: `H ${H} G ${G} E ${E} rows ${rows} add ${ADD}`,
    constants: { WG: tiny ? 4 : 32, E, H, R, ADD: Number(ADD) },
    params: { firstRow, rows, first },
    grid: [G, 1, 1] as const,
    buffers: { q, squares },
    want: { squares: want },
    terms: 32 * R,
  };
}

export default spec({
  kernel: think_queries,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["one head of a group", "wg.x * R + i % R", "wg.x * R"],
    ["does not square", "sum += x * x", "sum += x"],
    ["forgets what was there", "squares[at] += sum", "squares[at] = sum", 4],
  ],
});

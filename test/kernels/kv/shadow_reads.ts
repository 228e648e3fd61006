import { shadow_reads } from "../../../src/gpu/kernels.gen.ts";
import { pick, random, spec } from "../spec.ts";

/** `count` of `most` numbers, shuffled. */
function draw(uniform: () => number, most: number, count: number): number[] {
  const all = Array.from({ length: most }, (_, i) => ({ i, key: uniform() })).sort((a, b) => a.key - b.key);
  return all.slice(0, count).map(({ i }) => i);
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const G = tiny ? 2 : [2, 3, 1][seed % 3]!;
  const [SELECTED, most] = tiny ? ([5, 9] as const) : ([[8, 31], [33, 100], [1, 400]] as const)[seed % 3]!; // prettier-ignore
  const WG = tiny ? 4 : [16, 64][Math.floor(seed / 3) % 2]!;
  const [count, firstRow, weight] = [pick(uniform, [1, 2]), pick(uniform, [0, 1]), pick(uniform, [1, 3])];
  const [column, listLength, stride] = [pick(uniform, [0, 2]), 2, 1 + most + pick(uniform, [0, 4])];
  const columns = column + G;
  const table = new Uint32Array(2 * listLength * columns * 4).fill(0xfffffff0);
  const rows = new Uint32Array((firstRow + count) * 4).fill(0xffffff00);
  const resident = new Uint32Array(2 * G * SELECTED).fill(0x7fffffff);
  const counts = Uint32Array.from({ length: 2 * G * stride }, (_, i) => 7 * i);
  const want = counts.slice();
  for (let m = 0; m < count; m++) {
    const sequence = 1 - m;
    rows[(firstRow + m) * 4 + 2] = sequence;
    for (let g = 0; g < G; g++) {
      const gaveUp = uniform() < 0.8;
      table.set([gaveUp ? 3 : 0, 5, 0, 0], (sequence * listLength * columns + column + g) * 4);
      const [list, chunks] = [sequence * G + g, draw(uniform, most, SELECTED)];
      resident.set(chunks, list * SELECTED);
      if (!gaveUp) continue;
      for (const at of [0, ...chunks.map((chunk) => 1 + chunk)]) want[list * stride + at]! += weight;
    }
  }
  return {
    label: `${count} rows, ${G} heads, ${SELECTED} of ${most} chunks, weight ${weight}, WG ${WG}`,
    constants: { WG, G, SELECTED },
    params: { firstRow, listLength, columns, column, stride, weight },
    grid: [G, count, 1] as const,
    buffers: { rows, table, resident, counts },
    want: { counts: want },
    terms: 1,
  };
}

export default spec({
  kernel: shadow_reads,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    ["lists that gave up nothing", "if (head.x == 0u) { return; }", ""],
    ["one layer each", "resident[list * SELECTED + i]] += params.weight", "resident[list * SELECTED + i]] += 1u"],
    ["lists are not counted", "if (local == 0u)", "if (false)"],
    ["counts of another head", "counts[list * params.stride + 1u", "counts[sequence * G * params.stride + 1u"],
    ["places of another sequence", "resident[list * SELECTED + i]", "resident[wg.x * SELECTED + i]"],
    ["as many places as threads", "i < SELECTED; i += WG", "i < min(SELECTED, WG); i += WG"],
  ],
});

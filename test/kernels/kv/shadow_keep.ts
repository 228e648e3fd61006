import { ceilDiv } from "../../../src/errors.ts";
import { shadow_keep } from "../../../src/gpu/kernels.gen.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : 32;
  const [OUTLIERS, SELECTED, CHUNK] = tiny ? ([1, 2, 4] as const) : ([[3, 5, 8], [1, 1, 4], [24, 65, 16]] as const)[seed % 3]!; // prettier-ignore
  const lists = tiny ? 1 : pick(uniform, [1, 3]);
  const [list, column] = [pick(uniform, [0, 3]), pick(uniform, [0, 2])];
  const count = (OUTLIERS + SELECTED) * CHUNK;
  const keepStride = count + pick(uniform, [0, 7]);
  const draw = (length: number) => Uint32Array.from({ length }, () => Math.floor(uniform() * 1000));
  const outliers = draw((list + lists) * OUTLIERS);
  const resident = draw((list + lists) * SELECTED);
  const keep = new Uint32Array((column + lists) * keepStride).fill(0xdeadbeef);
  const want = keep.slice();
  for (let g = 0; g < lists; g++) {
    const chunks = [
      ...outliers.subarray((list + g) * OUTLIERS, (list + g + 1) * OUTLIERS),
      ...resident.subarray((list + g) * SELECTED, (list + g + 1) * SELECTED),
    ];
    for (let i = 0; i < count; i++)
      want[(column + g) * keepStride + i] = chunks[Math.floor(i / CHUNK)]! * CHUNK + (i % CHUNK);
  }
  return {
    label: `${lists} lists of ${OUTLIERS} + ${SELECTED} chunks of ${CHUNK}`,
    constants: { WG, OUTLIERS, SELECTED, CHUNK },
    params: { list, column, keepStride },
    grid: [ceilDiv(count, WG), lists, 1] as const,
    buffers: { outliers, resident, keep },
    want: { keep: want },
    terms: 1,
  };
}

export default spec({
  kernel: shadow_keep,
  cases: 45,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    ["the first token of each", "+ id.x % CHUNK", ""],
    ["outliers again", "at - OUTLIERS]", "at]"],
    ["beyond the end", "if (at >= OUTLIERS + SELECTED) { return; }", ""],
  ],
});

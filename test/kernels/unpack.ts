import { ceilDiv } from "../../src/errors.ts";
import { unpack } from "../../src/gpu/kernels.gen.ts";
import { randomMatrix } from "./matrix.ts";
import { pick, random, spec } from "./spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const BITS = tiny ? 8 : pick(uniform, [16, 8, 4]);
  const GROUP = pick(uniform, [16, 32]);
  const all = tiny ? 8 : pick(uniform, [1, 16, 63, 65, 130]);
  const firstColumn = tiny ? 4 : Math.floor(uniform() * all);
  const columns = tiny ? 4 : 1 + Math.floor(uniform() * (all - firstColumn));
  const depth = tiny ? 32 : pick(uniform, BITS === 16 ? [2, 6, 34, 64] : [32, 64, 96]);
  const { words, scales, values, stride } = randomMatrix(uniform, { bits: BITS, group: GROUP, columns: all, depth });
  const want = Float64Array.from({ length: depth * columns }, (_, i) => {
    return values[(firstColumn + (i % columns)) * depth + Math.floor(i / columns)]!;
  });
  return {
    label: `K ${depth} N ${all} slice ${firstColumn}+${columns} BITS ${BITS} GROUP ${GROUP}`,
    constants: { BITS, GROUP },
    params: { depth, columns, stride, firstColumn },
    grid: [ceilDiv(columns, 64), ceilDiv(depth * BITS, 32), 1] as const,
    buffers: { words, scales, b: new Float32Array(depth * columns + 2) },
    want: { b: want },
    terms: 1,
    magnitude: 2 ** BITS * 2,
  };
}

export default spec({
  kernel: unpack,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["high half first", "b[target0] = pair.x", "b[target0] = pair.y"],
    ["wrong group", "k / GROUP * params.stride", "(k + GROUP - 1u) / GROUP * params.stride"],
    ["ignores the slice", "params.firstColumn + i", "i"],
  ],
});

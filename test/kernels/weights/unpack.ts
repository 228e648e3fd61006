import { ceilDiv } from "../../../src/errors.ts";
import { unpack } from "../../../src/gpu/kernels.gen.ts";
import { randomMatrix } from "../matrix.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const BITS = tiny ? 8 : pick(uniform, [32, 16, 8, 4]);
  const GROUP = pick(uniform, [16, 32]);
  const GAMMA = tiny ? 1 : pick(uniform, [0, 1]);
  const all = tiny ? 8 : pick(uniform, [1, 16, 63, 65, 130]);
  const firstColumn = tiny ? 4 : Math.floor(uniform() * all);
  const columns = tiny ? 4 : 1 + Math.floor(uniform() * (all - firstColumn));
  const depth = tiny ? 32 : pick(uniform, BITS === 32 ? [1, 3, 33] : BITS === 16 ? [2, 6, 34, 64] : [32, 64, 96]);
  const { words, scales, values, stride } = randomMatrix(uniform, { bits: BITS, group: GROUP, columns: all, depth });
  const gammaAt = pick(uniform, [0, 4, 64]);
  const vectors = new Float32Array(gammaAt + depth + 3).fill(Number.NaN); // other vectors of the product
  vectors.set(floats(uniform, depth, 2), gammaAt);
  const want = Float64Array.from({ length: depth * columns }, (_, i) => {
    const k = Math.floor(i / columns);
    return values[(firstColumn + (i % columns)) * depth + k]! * (GAMMA ? vectors[gammaAt + k]! : 1);
  });
  return {
    label: `K ${depth} N ${all} slice ${firstColumn}+${columns} BITS ${BITS} GROUP ${GROUP} GAMMA ${GAMMA}`,
    constants: { BITS, GROUP, GAMMA },
    params: { depth, columns, stride, firstColumn, gammaAt },
    grid: [ceilDiv(columns, 64), ceilDiv(depth * BITS, 128), 1] as const,
    buffers: { words, scales, vectors, b: new Float32Array(depth * columns + 2) },
    want: { b: want },
    terms: 1,
    magnitude: (BITS <= 8 ? 2 ** BITS * 2 : 2) * (GAMMA ? 2 : 1),
  };
}

export default spec({
  kernel: unpack,
  cases: 80,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["high half first", "store(k, i, pair.x)", "store(k, i, pair.y)"],
    ["wrong group", "k / GROUP * params.stride", "(k + GROUP - 1u) / GROUP * params.stride"],
    ["ignores the slice", "params.firstColumn + i", "i"],
    ["one gamma for a word", "params.gammaAt + k]", "params.gammaAt + k / (32u / BITS) * (32u / BITS)]"],
  ],
});

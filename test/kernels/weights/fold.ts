import { ceilDiv } from "../../../src/errors.ts";
import { fold } from "../../../src/gpu/kernels.gen.ts";
import { randomMatrix } from "../matrix.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const BITS = tiny ? 8 : pick(uniform, [32, 16, 8, 4]);
  const GROUP = pick(uniform, [16, 32]);
  const GAMMA = tiny ? 1 : pick(uniform, [0, 1]);
  const ADD = tiny ? 1 : pick(uniform, [0, 1]);
  const WG = tiny ? 4 : pick(uniform, [32, 64]);
  const all = tiny ? 8 : pick(uniform, [1, 16, 63, 65, 130]);
  const firstColumn = tiny ? 4 : Math.floor(uniform() * all);
  const columns = tiny ? 4 : 1 + Math.floor(uniform() * (all - firstColumn));
  const depth = tiny ? 32 : pick(uniform, BITS <= 8 ? [32, 64, 96] : [1, 2, 3, 33, 64]);
  const weight = Math.fround(pick(uniform, [1, 0.3, -2]));
  const { words, scales, values, stride } = randomMatrix(uniform, { bits: BITS, group: GROUP, columns: all, depth });
  const gammaAt = pick(uniform, [0, 4, 64]);
  const vectors = new Float32Array(gammaAt + depth + 3).fill(Number.NaN); // other vectors of the product
  vectors.set(floats(uniform, depth, 2), gammaAt);
  const out = ADD ? floats(uniform, columns * depth, 3) : new Float32Array(columns * depth).fill(Number.NaN);
  const want = Float64Array.from({ length: columns * depth }, (_, at) => {
    const [i, k] = [Math.floor(at / depth), at % depth];
    const value = weight * values[(firstColumn + i) * depth + k]! * (GAMMA ? vectors[gammaAt + k]! : 1);
    return value + (ADD ? out[at]! : 0);
  });
  return {
    label: `K ${depth} N ${all} slice ${firstColumn}+${columns} BITS ${BITS} GROUP ${GROUP} GAMMA ${GAMMA} ADD ${ADD}`,
    constants: { WG, BITS, GROUP, GAMMA, ADD },
    params: { depth, columns, stride, firstColumn, gammaAt, weight },
    grid: [ceilDiv(columns, WG), ceilDiv(depth * BITS, 128), 1] as const,
    buffers: { words, scales, vectors, out },
    want: { out: want },
    terms: 1,
    magnitude: (BITS <= 8 ? 2 ** BITS * 2 : 2) * 2 * (GAMMA ? 2 : 1) + 3,
  };
}

export default spec({
  kernel: fold,
  cases: 80,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["weight forgotten", "params.weight * (", "("],
    ["wrong group", "k / GROUP * params.stride", "(k + GROUP - 1u) / GROUP * params.stride"],
    ["writes K-major", "i * params.depth + k + j", "(k + j) * params.columns + i"],
    ["writes beyond an odd depth", "min(32u / BITS, params.depth - k)", "32u / BITS"],
  ],
});

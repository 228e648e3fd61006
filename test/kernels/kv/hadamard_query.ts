import { hadamard_query } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** Block by block times the symmetric matrix of ±1/√block; the sign is the parity of i & j. */
export function hadamardOf(vector: ArrayLike<number>, block: number): Float64Array {
  return Float64Array.from({ length: vector.length }, (_, e) => {
    let sum = 0;
    for (let i = 0; i < block; i++) {
      let bits = i & e;
      let sign = 1;
      for (; bits > 0; bits &= bits - 1) sign = -sign;
      sum += sign * vector[Math.floor(e / block) * block + i]!;
    }
    return sum / Math.sqrt(block);
  });
}

/** Head width, the block that it is turned in and threads. */
export function drawBasis(uniform: () => number, tiny = false): { E: number; BLOCK: number; WG: number } {
  const E = tiny ? 8 : pick(uniform, [8, 16, 24, 40, 64, 80, 96, 128, 256]);
  return { E, BLOCK: pick(uniform, [E & -E, E & -E, 1, 4]), WG: tiny ? 4 : pick(uniform, [16, 64]) };
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const basis = drawBasis(uniform, tiny);
  const { E, BLOCK } = basis;
  const H = pick(uniform, [1, 2, 5]);
  const rows = tiny ? 2 : pick(uniform, [1, 2, 7]);
  const firstRow = pick(uniform, [0, 0, 1, 3]);
  const query = new Float32Array((firstRow + rows + 1) * H * E).fill(NaN);
  const want = new Float64Array(query.length).fill(NaN);
  let magnitude = 0;
  for (let at = firstRow * H * E; at < (firstRow + rows) * H * E; at += E) {
    const head = floats(uniform, E, pick(uniform, [1, 100]));
    query.set(head, at);
    want.set(hadamardOf(head, BLOCK), at);
    magnitude = Math.max(magnitude, ...hadamardOf(head.map(Math.abs), 1).map((x) => x * Math.sqrt(BLOCK)));
  }
  return {
    label: `H ${H} E ${E} block ${BLOCK} rows ${rows} from ${firstRow}`,
    constants: { H, ...basis },
    params: { firstRow },
    grid: [H, rows, 1] as const,
    buffers: { query, turned_query: new Float32Array(query.length).fill(7) },
    want: { turned_query: want },
    terms: BLOCK,
    ulps: 2,
    magnitude,
  };
}

export default spec({
  kernel: hadamard_query,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["a stage too few", "for (var apart = 1u;", "for (var apart = 2u;"],
    ["not symmetric", "pair.x - pair.y", "pair.y - pair.x"],
    ["first rows always", "params.firstRow + wg.y", "wg.y"],
  ],
});

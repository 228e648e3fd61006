import { ceilDiv } from "../../../src/errors.ts";
import { attn_whole } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** softmax(q · Kᵀ · scale) · V of one head, float64. [T, E] */
function attend(qkv: Float32Array, at: { rows: number; heads: number; width: number; head: number }, scale: number) {
  const { rows, heads, width: E, head } = at;
  const part = (row: number, which: number) => qkv.subarray(((row * 3 + which) * heads + head) * E).subarray(0, E);
  const out: number[][] = [];
  for (let row = 0; row < rows; row++) {
    const query = part(row, 0);
    const scores = Array.from({ length: rows }, (_, other) => {
      const key = part(other, 1);
      return scale * query.reduce((sum, value, e) => sum + value * key[e]!, 0);
    });
    const top = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - top));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    out.push(
      Array.from({ length: E }, (_, e) =>
        weights.reduce((total, weight, other) => total + (weight / sum) * part(other, 2)[e]!, 0),
      ),
    );
  }
  return out;
}

const FEW = 40;
/** Threads, heads, width of a head. */
const SHAPES = [
  [16, 3, 8],
  [32, 1, 20],
  [16, 2, 72],
  [64, 1, 64],
] as const;

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  // each shape compiles for long: two of them in every run
  const [WG, H, E] = tiny ? [4, 1, 4] : seed < FEW ? pick(uniform, SHAPES.slice(0, 2)) : pick(uniform, SHAPES);
  const rows = tiny ? 9 : pick(uniform, [1, 2, 15, 16, 17, WG, WG + 1, 33, 49]);
  const size = pick(uniform, [0.1, 1, 4]);
  const scale = Math.fround(1 / Math.sqrt(E));
  const qkv = floats(uniform, rows * 3 * H * E, size);
  const want = new Float64Array(rows * H * E);
  for (let head = 0; head < H; head++) {
    const results = attend(qkv, { rows, heads: H, width: E, head }, scale);
    for (const [row, values] of results.entries()) want.set(values, (row * H + head) * E);
  }
  return {
    label: `T ${rows} H ${H} E ${E} WG ${WG} size ${size}`,
    constants: { WG, H, E },
    params: { rows, scale },
    grid: [ceilDiv(rows, WG), H, 1] as const,
    buffers: { qkv, out: new Float32Array(rows * H * E + 4).fill(7) },
    want: { out: want },
    terms: rows + E,
    ulps: 8 + 4 * size * size * E, // exp of a score that is itself rounded
    magnitude: size,
  };
}

export default spec({
  kernel: attn_whole,
  cases: FEW,
  allCases: 60,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["reads rows beyond the last", "min(TILE, params.rows - first)", "TILE"],
    ["sums not brought to a new maximum", "sum *= keep;", ""],
    ["values of another head", "values[i] = qkv[at + H * E4]", "values[i] = qkv[at + E4]"],
    ["sees earlier rows only", "min(TILE, params.rows - first)", "min(TILE, row + 1u - min(first, row + 1u))"],
  ],
});

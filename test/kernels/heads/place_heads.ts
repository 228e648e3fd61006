// Heads of a finished product in float64: the norm over all query heads, over all key heads, rotation, pages.
import { place_heads } from "../../../src/gpu/kernels.gen.ts";
import { pageWords } from "../attn_case.ts";
import { judgePages, type PageWrite } from "../pages.ts";
import { drawRope, makeRows, relativeError, roleOf, rotate, slotOf } from "../qkv_case.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** Distinct constants: pipelines are what costs time. */
const SHAPES = [
  { E: 8, KV_BITS: 32, WG: 32 },
  { E: 24, KV_BITS: 8, WG: 64 },
  { E: 64, KV_BITS: 16, WG: 32 },
  { E: 104, KV_BITS: 4, WG: 64 },
  { E: 128, KV_BITS: 8, WG: 32 },
] as const;
const HEADS = [[9, 3], [3, 1], [4, 4], [1, 1], [2, 2]] as const; // prettier-ignore

function draw(seed: number, tiny: boolean) {
  const uniform = random(seed);
  const [queries, ownerHeads] = tiny ? [2, 1] : pick(uniform, HEADS);
  const total = queries + 2 * ownerHeads;
  const firstHead = pick(uniform, [0, 0, Math.floor(uniform() * total)]);
  const shape = tiny ? { E: 8, KV_BITS: 4, WG: 4 } : SHAPES[seed % SHAPES.length]!;
  const rows = tiny ? 2 : pick(uniform, [1, 2, 5, 33]);
  const heads = tiny ? total : pick(uniform, [total - firstHead, 1]);
  return { uniform, shape, queries, ownerHeads, total, firstHead: tiny ? 0 : firstHead, heads, rows };
}

function make(seed: number, tiny = false) {
  const { uniform, shape, queries, ownerHeads, total, firstHead, heads, rows } = draw(seed, tiny);
  const { E } = shape;
  const width = E - pick(uniform, [0, 0, 2]) * 2; // padding at the ends of both halves
  const eps = Math.fround(pick(uniform, [1e-5, 0.5]));
  const isPadding = (e: number) => e % (E / 2) >= width / 2;
  const x = new Float32Array((rows + 1) * total * E).fill(Number.NaN); // the row beyond must not be read
  const size = 10 ** pick(uniform, [-2, 0, 1]);
  x.set(floats(uniform, rows * total * E, size).map((value, i) => (isPadding(i % E) ? 0 : value)));
  const weights = [floats(uniform, queries * E, 2), floats(uniform, ownerHeads * E, 2)] as const;
  const gap = 4 * pick(uniform, [0, 1]);
  const nothing = Array.from<number>({ length: gap }).fill(Number.NaN);
  const rope = drawRope(uniform, E);
  const lists = { column: pick(uniform, [0, 3]), used: ownerHeads };
  const { buffer: records, kv, params } = makeRows(uniform, rows, lists, pageWords(shape));
  const inputs = { queries, ownerHeads, records, params };

  const finish = (t: number, m: number) => {
    const { isQuery, isValue } = roleOf(inputs, m);
    const line = x.subarray(t * total * E, (t + 1) * total * E);
    const head = Float64Array.from(line.subarray(m * E, (m + 1) * E));
    if (isValue) return { values: head, error: 0 };
    const [first, count] = isQuery ? [0, queries] : [queries, ownerHeads];
    const all = line.subarray(first * E, (first + count) * E);
    const factor = 1 / Math.sqrt(all.reduce((sum, value) => sum + value * value, 0) / (count * width) + eps);
    const weight = weights[isQuery ? 0 : 1].subarray((m - first) * E);
    const values = head.map((value, e) => value * factor * weight[e]!);
    const error = relativeError(count * E) * values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const position = records[(params.rowAt + t) * 4]!;
    return rotate({ values, error }, rope.subarray(position * E, (position + 1) * E));
  };

  const q = new Float64Array(rows * queries * E).fill(Number.NaN);
  const writes: PageWrite[] = [];
  let worst = 0;
  for (let t = 0; t < rows; t++) {
    for (let m = firstHead; m < firstHead + heads; m++) {
      const head = finish(t, m);
      const slot = m < queries ? null : slotOf(inputs, t, m);
      if (slot) writes.push({ ...slot, ...head });
      if (m < queries) q.set(head.values, (t * queries + m) * E);
      if (m < queries) worst = Math.max(worst, head.error);
    }
  }
  const { rows: _, ...table } = params;
  return {
    label: `T ${rows} heads ${firstHead}+${heads} of ${queries}+2·${ownerHeads} E ${E}/${width} kv ${shape.KV_BITS} WG ${shape.WG}`,
    constants: shape,
    params: {
      ...table,
      heads: total,
      queries,
      ownerHeads,
      firstHead,
      queryNormAt: gap,
      keyNormAt: gap + queries * E,
      width,
      eps,
    },
    grid: [heads, rows, 1] as const,
    buffers: {
      x,
      vectors: Float32Array.from([...nothing, ...weights[0], ...weights[1]]),
      rows: records,
      rope,
      q: new Float32Array(q.length).fill(7),
      kv,
    },
    want: { q, kv: (words: Uint32Array) => judgePages(shape, writes, kv, words) },
    terms: queries * E,
    ulps: 16,
    magnitude: worst / relativeError(queries * E),
  };
}

export default spec({
  kernel: place_heads,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["padding counts", "f32(count * params.width)", "f32(count * E)"],
    ["each head by itself", "i < count * E; i += WG", "i < E; i += WG"],
    ["missing barrier", "  workgroupBarrier();\n  let to", "  let to"],
    ["ignores the arena", "isQuery || entry.z != params.arena", "isQuery"],
    ["keys by the weights of queries", "select(params.keyNormAt, params.queryNormAt, isQuery)", "params.queryNormAt"],
  ],
});

// Heads of a finished product in float64: bias, the norm of each head or over all of a kind, rotation, pages of several owners.
import { place_heads } from "../../../src/gpu/kernels.gen.ts";
import { pageWords } from "../attn_case.ts";
import { judgePages, type PageWrite } from "../pages.ts";
import { drawRope, makeRows, relativeError, roleOf, rotate, slotOf } from "../qkv_case.ts";
import { floats, pick, random, spec } from "../spec.ts";

const [NO_NORM, EACH_HEAD, ALL_HEADS] = [0, 1, 2];
/** Distinct constants: pipelines are what costs time. */
const SHAPES = [
  { E: 8, KV_BITS: 32, BIAS: 1, NORM: ALL_HEADS, WG: 32 },
  { E: 24, KV_BITS: 8, BIAS: 1, NORM: EACH_HEAD, WG: 64 },
  { E: 64, KV_BITS: 16, BIAS: 0, NORM: EACH_HEAD, WG: 32 },
  { E: 104, KV_BITS: 4, BIAS: 1, NORM: NO_NORM, WG: 64 },
  { E: 128, KV_BITS: 8, BIAS: 0, NORM: ALL_HEADS, WG: 32 },
] as const;
/** Query heads; key (and value) heads of an owner; owners. */
const HEADS = [[9, 3, 1], [3, 1, 2], [4, 4, 1], [1, 1, 1], [2, 2, 3], [2, 1, 1]] as const; // prettier-ignore
const POSITIONS = 50; // of the rope table: those of queries follow where they have their own

function draw(seed: number, tiny: boolean) {
  const uniform = random(seed);
  const [queries, ownerHeads, owners] = tiny ? [2, 1, 1] : pick(uniform, HEADS);
  const total = queries + 2 * ownerHeads * owners;
  const firstHead = pick(uniform, [0, 0, Math.floor(uniform() * total)]);
  const shape = tiny ? { E: 8, KV_BITS: 4, BIAS: 1, NORM: EACH_HEAD, WG: 4 } : SHAPES[seed % SHAPES.length]!;
  const rows = tiny ? 2 : pick(uniform, [1, 2, 5, 33]);
  const heads = tiny ? total : pick(uniform, [total - firstHead, 1]);
  return { uniform, shape, queries, ownerHeads, owners, total, firstHead: tiny ? 0 : firstHead, heads, rows };
}

const largest = (values: Float64Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

function make(seed: number, tiny = false) {
  const { uniform, shape, queries, ownerHeads, owners, total, firstHead, heads, rows } = draw(seed, tiny);
  const { E, BIAS, NORM } = shape;
  const width = E - pick(uniform, [0, 0, 2]) * 2; // padding at the ends of both halves
  const eps = Math.fround(pick(uniform, [1e-5, 0.5]));
  const isPadding = (e: number) => e % (E / 2) >= width / 2;
  const x = new Float32Array((rows + 1) * total * E).fill(Number.NaN); // the row beyond must not be read
  const size = 10 ** pick(uniform, [-2, 0, 1]);
  x.set(floats(uniform, rows * total * E, size).map((value, i) => (isPadding(i % E) ? 0 : value)));
  const bias = floats(uniform, total * E, 2).map((value, i) => (isPadding(i % E) ? 0 : value));
  const [queryWeights, keyWeights] = NORM === ALL_HEADS ? [queries, ownerHeads] : [1, 1]; // heads of an owner that have weights of their own
  const weights = [floats(uniform, queryWeights * E, 2), floats(uniform, owners * keyWeights * E, 2)] as const;
  const queryTurns = pick(uniform, [0, POSITIONS]);
  const gap = 4 * pick(uniform, [0, 1]);
  const nothing = Array.from<number>({ length: gap }).fill(Number.NaN);
  const rope = drawRope(uniform, E);
  const lists = { column: pick(uniform, [0, 3]), used: ownerHeads * owners };
  const { buffer: records, kv, params } = makeRows(uniform, rows, lists, pageWords(shape));
  const inputs = { queries, ownerHeads, records, params };

  const finish = (t: number, m: number) => {
    const { isQuery, isValue, owner } = roleOf(inputs, m);
    const line = Float64Array.from(
      x.subarray(t * total * E, (t + 1) * total * E),
      (value, i) => value + BIAS * bias[i]!,
    );
    const head = line.subarray(m * E, (m + 1) * E);
    const rounded = BIAS * 2 ** -24 * largest(head);
    if (isValue) return { values: head, error: rounded };
    const position = records[(params.rowAt + t) * 4]! + (isQuery ? queryTurns : 0);
    const turns = rope.subarray(position * E, (position + 1) * E);
    if (NORM === NO_NORM) return rotate({ values: head, error: rounded }, turns);
    const [group, ofKind] = isQuery ? [0, queries] : [queries + 2 * owner * ownerHeads, ownerHeads];
    const [first, count] = NORM === ALL_HEADS ? [group, ofKind] : [m, 1];
    const all = line.subarray(first * E, (first + count) * E);
    const factor = 1 / Math.sqrt(all.reduce((sum, value) => sum + value * value, 0) / (count * width) + eps);
    const weight = weights[isQuery ? 0 : 1].subarray((owner * keyWeights * (isQuery ? 0 : 1) + m - first) * E);
    const values = head.map((value, e) => value * factor * weight[e]!);
    const error = relativeError(count * E) * largest(values);
    return rotate({ values, error }, turns);
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
    label: `T ${rows} heads ${firstHead}+${heads} of ${queries}+${owners}·2·${ownerHeads} bias ${BIAS} norm ${NORM} turns ${queryTurns} E ${E}/${width} kv ${shape.KV_BITS} WG ${shape.WG}`,
    constants: shape,
    params: {
      ...table,
      heads: total,
      queries,
      ownerHeads,
      firstHead,
      biasAt: gap,
      queryNormAt: gap + bias.length,
      keyNormAt: gap + bias.length + weights[0].length,
      width,
      eps,
      queryTurns,
    },
    grid: [heads, rows, 1] as const,
    buffers: {
      x,
      vectors: Float32Array.from([...nothing, ...bias, ...weights[0], ...weights[1]]),
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
    ["all heads together", "select(group, 1u, NORM == 1u)", "group"],
    ["keys of all owners by the first one's weights", "params.keyNormAt + head.owner * count * E", "params.keyNormAt"],
    ["queries turn as keys do", "select(0u, params.queryTurns, isQuery)", "0u"],
    ["the norm leaves out the bias", "let value = made(line, first * E + i);", "let value = x[line + first * E + i];"],
    ["missing barrier", "  workgroupBarrier();\n  let to", "  let to"],
    ["ignores the arena", "isQuery || entry.z != params.arena", "isQuery"],
    ["keys by the weights of queries", "select(params.keyNormAt + head.owner * count * E, params.queryNormAt, isQuery)", "params.queryNormAt"], // prettier-ignore
  ],
});

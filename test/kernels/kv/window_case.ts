// The last rows of a prompt and the pages they look at: what window_sums and window_score have in common.
import { type Cache, makeCache, seenKeys, shapeOf } from "../attn_case.ts";
import { floats, pick, random } from "../spec.ts";

/** Two sequences; the last W rows of one of them are the window. */
export function drawWindow(seed: number, tiny: boolean) {
  const uniform = random(seed);
  const [H, G, E, KV_BITS] = tiny ? ([2, 1, 8, 16] as const) : shapeOf(seed);
  const W = tiny ? 2 : pick(uniform, [1, 2, 5, 11]);
  const longest = tiny ? [34] : [W, 12, 31, 32, 33, 64, 97, 150, 200];
  const slots = Array.from({ length: tiny ? 1 : 2 }, () => Math.max(W, pick(uniform, longest)));
  const cache = makeCache(uniform, { H, G, E, KV_BITS }, slots, W);
  const row = tiny ? 0 : pick(uniform, [0, 1]);
  const firstRow = pick(uniform, [0, 3]);
  const rows = new Uint32Array((firstRow + W + 1) * 4).fill(0xffffff00);
  const { position, cacheIndex } = cache.ends[row]!;
  for (let i = 0; i < W; i++) rows.set([position - W + 1 + i, cacheIndex - W + 1 + i, row, 0], (firstRow + i) * 4);
  const q = floats(uniform, (firstRow + W + 1) * H * E, 2);
  const pages = Math.floor(cacheIndex / 32) + 1;
  const gaps = tiny
    ? { gapAt: 0, gap: 0, endAt: 0, endGap: 0 }
    : {
        gapAt: pick(uniform, [0, 1, 2]),
        gap: pick(uniform, [0, 1]),
        endAt: pick(uniform, [2, 3]),
        endGap: pick(uniform, [0, 1, 2]),
      };
  const WG = tiny ? 8 : [8, 16, 64][E % 3]!; // one per shape: each compiles for seconds
  return { uniform, cache, H, G, E, KV_BITS, R: H / G, W, row, firstRow, rows, q, pages, gaps, WG };
}

type Drawn = ReturnType<typeof drawWindow>;

/** Entry of the i-th page that counts. */
export const counted = ({ gaps: { gapAt, gap, endAt, endGap } }: Drawn, i: number): number =>
  i + (i >= gapAt ? gap : 0) + (i >= endAt ? endGap : 0);

/** Keys that query i of a KV head sees: head i % R of row ⌊i / R⌋, over some of the pages that count. */
export function keysOf(drawn: Drawn, group: number, i: number, firstPage = 0, endPage = Infinity) {
  const { cache, q, rows, firstRow, R, H, E } = drawn;
  const [row, head] = [firstRow + Math.floor(i / R), group * R + (i % R)];
  const at = (row * H + head) * E;
  // Rows before the last one may lie in an earlier page: the list is that of the last row.
  const last = rows.slice((firstRow + drawn.W - 1) * 4, (firstRow + drawn.W) * 4);
  last[0] = rows[row * 4]!;
  const all = seenKeys(cache, q.subarray(at, at + E), last, head, 0, Infinity);
  const pages = new Set(
    Array.from({ length: Math.min(endPage, 99) - firstPage }, (_, v) => counted(drawn, firstPage + v)),
  );
  return all.filter(({ index }) => pages.has(index));
}

/** Parameters that both kernels have. */
export function commonParams({ cache, firstRow, W, R, row, pages, gaps, E }: Drawn) {
  const { listLength, columns, column, arena, window }: Cache = cache;
  return {
    firstRow,
    queries: W * R,
    listLength,
    columns,
    column,
    row,
    arena,
    pages,
    ...gaps,
    window,
    scale: 1 / Math.sqrt(E),
  };
}

/** A score of ±E carries √E·|score|·2⁻²⁴ into its exponential. */
export const SCORE_ULPS = 200;

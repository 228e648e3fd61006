// Attention over page lists. One dispatch per arena buffer of the store.
import { alignUp, ceilDiv } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { attn_combine, families } from "../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../gpu/program.ts";
import { BLOCK_TOKENS } from "../kv/blocks.ts";
import type { KvStore } from "../kv/store.ts";
import type { Sizes } from "./ops.ts";
import type { Parts, Span } from "./parts.ts";
import { type DecodeVariant, prefillGrid, type PrefillVariant } from "./variants.ts";

/** How the page list of a decoding row is split over workgroups: enough of them to fill the adapter, few to merge. */
const SPLITTING = {
  /** A CPU adapter has as many workgroups under way as cores. */
  software: { pagesPerSplit: 1, most: 4 },
  hardware: { pagesPerSplit: 4, most: 64 },
} as const;

const splittingOf = ({ adapter }: Gpu) => (adapter.software ? SPLITTING.software : SPLITTING.hardware);

/** Most parts a page list is split into. */
export const mostSplits = (gpu: Gpu): number => splittingOf(gpu).most;

/** Equal parts for a cache of `length` tokens. They change once in 128 tokens or less, and parameters with them. */
export function splitsFor(gpu: Gpu, length: number): Pick<Sizes, "splits" | "pagesPerSplit"> {
  const { pagesPerSplit, most } = splittingOf(gpu);
  const pages = ceilDiv(length, BLOCK_TOKENS);
  const splits = Math.min(most, ceilDiv(pages, pagesPerSplit));
  return { splits, pagesPerSplit: ceilDiv(pages, splits) };
}

const prefillRows = ({ rows, decodeRows }: Sizes): number => rows - decodeRows;
const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export interface Target {
  /** The program runs prompt chunks: rows from decodeRows on are one sequence. */
  prefill: boolean;
  /** Records of its rows. */
  span: Span;
}

/** softmax(q·K/√E)·V for every row: decoding rows each over their own pages, a prompt chunk as a tile. */
export function attention(parts: Parts, layer: number, { prefill, span }: Target): AnyDispatch<Sizes>[] {
  const { store, variants } = parts;
  const alone = (s: Sizes) => (prefill ? s.decodeRows : s.rows);
  const splits: Merge = { entries: (s) => s.splits * store.parts, firstRow: () => 0, count: alone };
  const steps = [...decodeAttention(parts, layer, span, alone, variants.decode), combine(parts, layer, splits)];
  if (!prefill) return steps;
  const chunk: Merge = { entries: () => store.parts, firstRow: (s) => s.decodeRows, count: prefillRows };
  return [...steps, ...prefillAttention(parts, layer, span, variants.prefill), combine(parts, layer, chunk)];
}

/** The rows' records as a binding of their own. */
export const recordsOf = ({ inputs }: KvStore, { first, count }: Span): GPUBufferBinding => ({
  buffer: inputs,
  offset: first * 16,
  size: count * 16,
});

/** Buffers every attention kernel reads and writes. */
const buffersOf = ({ activations, store }: Parts, layer: number, span: Span, part: number) => ({
  q: activations.query,
  rows: recordsOf(store, span),
  table: store.table,
  kv: store.arena(layer, part),
  partials: activations.partials,
  out: activations.attended,
});

/** Numbers every attention kernel needs. */
const numbersOf = ({ config, store }: Parts, layer: number, part: number) => ({
  listLength: store.listLength,
  columns: store.lanes,
  column: store.lane0(layer),
  arena: part,
  window: config.windows[layer]!,
  scale: 1 / Math.sqrt(config.headWidth),
});

/** Constants of a variant. */
function decodeConstants({ config, store }: Parts, { kernel, threads, pages }: DecodeVariant) {
  const { heads: H, kvHeads: G, headWidth: E } = config;
  const KV_BITS = store.shape.codec.bits;
  const constants = { H, G, E, KV_BITS, R: H / G };
  if (kernel === "attn_decode_regs") return constants;
  if (kernel === "attn_decode_sg") return { ...constants, LANES: threads };
  const WG = alignUp(Math.max(threads, (E * KV_BITS) / 32), 8);
  return { ...constants, PAGES: pages, WG };
}

/** Rows 0 … count−1, each over the pages of its own sequence. */
export function decodeAttention(
  parts: Parts,
  layer: number,
  span: Span,
  count: (sizes: Sizes) => number,
  variant: DecodeVariant,
): AnyDispatch<Sizes>[] {
  const { config, store } = parts;
  const { heads: H, kvHeads: G, headWidth: E } = config;
  const constants = decodeConstants(parts, variant);
  // A full page list of every split: an upper bound, the lists' lengths are on the GPU.
  const slots = (s: Sizes) => count(s) * s.splits * s.pagesPerSplit * BLOCK_TOKENS;
  return indices(store.parts).map((part) =>
    dispatch({
      kernel: families.attn_decode[variant.kernel],
      constants,
      label: `layer ${layer} attention`,
      buffers: buffersOf(parts, layer, span, part),
      params: ({ splits, pagesPerSplit }: Sizes) => ({
        ...numbersOf(parts, layer, part),
        firstRow: 0,
        entries: splits * store.parts,
        entry: part * splits,
        pagesPerSplit,
      }),
      grid: (s) => [G, s.splits, count(s)],
      bytes: (s) => slots(s) * G * E * (store.shape.codec.bits / 4),
      flops: (s) => 4 * slots(s) * H * E,
    }),
  );
}

/** The rows of a prompt chunk, all of one sequence. */
export function prefillAttention(
  parts: Parts,
  layer: number,
  span: Span,
  variant: PrefillVariant,
): AnyDispatch<Sizes>[] {
  const { config, store } = parts;
  const { heads: H, kvHeads: G, headWidth: E } = config;
  const constants = { WG: variant.threads, H, G, E, KV_BITS: store.shape.codec.bits };
  return indices(store.parts).map((part) =>
    dispatch({
      kernel: families.attn_prefill[variant.kernel],
      constants,
      label: `layer ${layer} prefill attention`,
      buffers: buffersOf(parts, layer, span, part),
      params: (s: Sizes) => ({
        ...numbersOf(parts, layer, part),
        firstRow: s.decodeRows,
        count: prefillRows(s),
        entries: store.parts,
        entry: part,
      }),
      grid: (s) => prefillGrid(variant, prefillRows(s), H),
      bytes: (s) => 8 * prefillRows(s) * H * E,
      // Keys before the chunk are unknown here; within it half of the square is visible.
      flops: (s) => 2 * prefillRows(s) ** 2 * H * E,
    }),
  );
}

/** Which rows' partials to merge. */
interface Merge {
  /** Partials per row and head: splits · parts. With one the attention kernel has written the result itself. */
  entries: (sizes: Sizes) => number;
  firstRow: (sizes: Sizes) => number;
  count: (sizes: Sizes) => number;
}

function combine(
  { gpu, config, activations }: Parts,
  layer: number,
  { entries, firstRow, count }: Merge,
): AnyDispatch<Sizes> {
  const { heads: H, headWidth: E } = config;
  return dispatch({
    kernel: attn_combine,
    constants: { H, E, WG: gpu.adapter.software ? 4 : 64 },
    label: `layer ${layer} combine`,
    buffers: { partials: activations.partials, out: activations.attended },
    params: (s: Sizes) => ({ firstRow: firstRow(s), entries: entries(s) }),
    grid: (s) => (entries(s) > 1 ? [H, count(s), 1] : [0, 0, 0]),
    bytes: (s) => 4 * count(s) * H * (entries(s) + 1) * E,
    flops: (s) => 2 * count(s) * H * entries(s) * E,
  });
}

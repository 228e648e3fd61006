// Attention over page lists. One dispatch per arena that the lists refer to; the partial results are merged.
import { alignUp, ceilDiv } from "../../errors.ts";
import { attn_combine, attn_decode, families } from "../../gpu/kernels.gen.ts";
import { type Rewritten, withSnippet } from "../../gpu/text.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import type { Arena } from "../../kv/arena.ts";
import { BLOCK_TOKENS } from "../../kv/blocks.ts";
import { isWritten, type PageFormat, type ReadFormat } from "../../kv/format.ts";
import { columnOf } from "../../kv/layout.ts";
import { recordsOf } from "../../kv/lists.ts";
import { Later } from "../../later.ts";
import type { ModelContext, Span } from "../context.ts";
import { extraCount, type Readers, type Splitting } from "./partials.ts";
import { extra } from "./systems.ts";
import { isNarrow, type RowClass } from "../ops/rowclass.ts";
import type { Sizes } from "../ops/sizes.ts";
import { using } from "../ops/variants.ts";
import { type DecodeVariant, prefillGrid, type PrefillVariant } from "../ops/variant.ts";

/** For caches with a sealed format: loaded before a model with one is made. */
export const basis = new Later(() => import("./basis.ts"));

const chunkRows = ({ rows, decodeRows }: Sizes): number => rows - decodeRows;

export interface Target {
  /** Rows of the program, at most. A wide one runs prompt chunks: rows from decodeRows on are one sequence. */
  rows: RowClass;
  /** Records of its rows. */
  span: Span;
}

/** softmax(q·K · scale)·V for every row: decoding rows each over their own pages, a prompt chunk as a tile. */
export function attention(model: ModelContext, layer: number, { rows, span }: Target): AnyDispatch<Sizes>[] {
  const alone = (s: Sizes) => (isNarrow(rows) ? s.rows : s.decodeRows);
  const decoding = withExtra(model, decodingRows(model, layer, span, alone));
  const dispatches = [
    ...using("decode", model.variants.decode, (variant) => decodeAttention(model, layer, decoding, variant)),
    ...added(model, layer, decoding),
    combine(model, layer, decoding),
  ];
  if (isNarrow(rows)) return dispatches;
  const chunk = withExtra(model, chunkOf(model, layer, span));
  return [
    ...dispatches,
    ...using("prefill", model.variants.prefill(rows), (variant) => prefillAttention(model, layer, chunk, variant)),
    ...sealedAttention(model, layer, chunk, chunkSplitting),
    ...added(model, layer, chunk),
    combine(model, layer, chunk),
  ];
}

const added = (model: ModelContext, layer: number, readers: Readers): AnyDispatch<Sizes>[] =>
  model.systems.length > 0 ? extra.now.extraPartials(model, layer, readers) : [];

/** Arenas that lists of the layer's store lead to. */
const arenasOf = ({ cache }: ModelContext, layer: number): readonly Arena[] =>
  cache.arenasOf(cache.shape.layout.reads[layer]!);

/** How an arena holds pages of the layer's store. */
const formatOf = ({ cache }: ModelContext, layer: number, arena: Arena): PageFormat =>
  arena.formatOf(cache.bundleOf(cache.shape.layout.reads[layer]!));

/** Those that hold written pages of it. */
const writtenOf = (model: ModelContext, layer: number): readonly Arena[] =>
  arenasOf(model, layer).filter((arena) => isWritten(formatOf(model, layer, arena)));

/** Numbers of the arenas of a layer that the step's rows read. */
function usedOf(model: ModelContext, layer: number): (sizes: Sizes) => number[] {
  const own = new Set(arenasOf(model, layer).map(({ number }) => number));
  return ({ arenas }) => arenas.filter((arena) => own.has(arena));
}

/** Rows 0 … count−1, each over the pages of its own sequence: a partial per arena and split. */
export function decodingRows(model: ModelContext, layer: number, span: Span, count: (sizes: Sizes) => number): Readers {
  const used = usedOf(model, layer);
  return {
    span,
    firstRow: () => 0,
    count,
    entries: (s) => used(s).length * s.splits,
    entry: (s, { number }) => used(s).indexOf(number) * s.splits,
  };
}

/** The rows of a prompt chunk, all of one sequence: a partial per written arena, then one per sealed arena and split. */
export function chunkOf(model: ModelContext, layer: number, span: Span): Readers {
  const used = usedOf(model, layer);
  const sealed = (arena: number) => !isWritten(formatOf(model, layer, model.cache.arenas[arena]!));
  const writtenCount = (s: Sizes) => used(s).filter((arena) => !sealed(arena)).length;
  return {
    span,
    firstRow: (s) => s.decodeRows,
    count: chunkRows,
    entries: (s) => writtenCount(s) + (used(s).length - writtenCount(s)) * s.chunkSplits,
    entry: (s, { number }) => {
      const before = used(s).filter((arena) => arena < number && sealed(arena) === sealed(number)).length;
      return sealed(number) ? writtenCount(s) + before * s.chunkSplits : before;
    },
  };
}

/** With room for the partials of systems, after those of attention. */
function withExtra({ systems }: ModelContext, readers: Readers): Readers {
  return { ...readers, entries: (s) => readers.entries(s) + extraCount(systems, s) };
}

/** Buffers every attention kernel reads and writes. */
function buffersOf(model: ModelContext, layer: number, span: Span, arena: Arena) {
  const { activations, cache } = model;
  const store = cache.shape.layout.reads[layer]!;
  const format = formatOf(model, layer, arena);
  const isTurned = !isWritten(format) && format.basis !== undefined;
  return {
    q: isTurned ? activations.turnedQuery : activations.query,
    rows: recordsOf(cache.lists, span),
    table: cache.lists.table,
    kv: arena.buffers[cache.bundleOf(store)]!,
    partials: activations.partials,
    out: activations.attended,
  };
}

/** Numbers every attention kernel needs. */
function numbersOf({ config, cache }: ModelContext, layer: number, arena: Arena, readers: Readers, s: Sizes) {
  return {
    listLength: cache.lists.listLength,
    columns: cache.columns,
    column: columnOf(cache.shape.layout.reads[layer]!, config.kvHeads),
    arena: arena.number,
    firstRow: readers.firstRow(s),
    entries: readers.entries(s),
    entry: readers.entry(s, arena),
    window: config.windows[layer]!,
    scale: config.attentionScale,
  };
}

/** Constants of a variant. */
function decodeConstants({ config, cache }: ModelContext, { constants }: DecodeVariant) {
  const { heads: H, kvHeads: G, headWidth: E } = config;
  return { H, G, E, KV_BITS: cache.written.bits, R: H / G, ...constants };
}

/** Single rows over the pages of every arena. */
export function decodeAttention(
  model: ModelContext,
  layer: number,
  readers: Readers,
  variant: DecodeVariant,
): AnyDispatch<Sizes>[] {
  const kernel = families.attn_decode[variant.kernel];
  const constants = decodeConstants(model, variant);
  return [
    ...writtenOf(model, layer).map((arena) => overRows(model, layer, readers, arena, { kernel, constants })),
    ...sealedAttention(model, layer, readers, decodeSplitting),
  ];
}

/** Rows over sealed pages, one by one also where they are a prompt chunk: only `attn_decode` reads these. */
function sealedAttention(
  model: ModelContext,
  layer: number,
  readers: Readers,
  splitting: Splitting,
): AnyDispatch<Sizes>[] {
  const byFormat = new Map<ReadFormat, Arena[]>();
  for (const arena of arenasOf(model, layer)) {
    const format = formatOf(model, layer, arena);
    if (!isWritten(format)) byFormat.set(format, [...(byFormat.get(format) ?? []), arena]);
  }
  return [...byFormat].flatMap(([format, sealed]) => {
    const reader = sealedReader(model, format);
    return basis.now.inBasis(model, layer, readers, { format, sealed, splitting }, (arena) =>
      overRows(model, layer, readers, arena, reader, splitting),
    );
  });
}

/** Splits of the lists of decoding rows, and of a chunk's rows, which are many. */
const decodeSplitting: Splitting = ({ splits, pagesPerSplit }: Sizes) => ({ splits, pagesPerSplit });
const chunkSplitting: Splitting = ({ chunkSplits, splits, pagesPerSplit }: Sizes) => ({
  splits: chunkSplits,
  pagesPerSplit: ceilDiv(splits * pagesPerSplit, chunkSplits),
});

/** The kernel that reads a format, and its constants. */
interface Reader {
  kernel: (typeof families.attn_decode)[DecodeVariant["kernel"]] | Rewritten<typeof attn_decode>;
  constants: Readonly<Record<string, number>>;
}

function sealedReader({ config, gpu }: ModelContext, format: ReadFormat): Reader {
  const { heads: H, kvHeads: G, headWidth: E } = config;
  const kernel = withSnippet(attn_decode, "format", format.reader(E));
  return { kernel, constants: { H, G, E, R: H / G, PAGES: 2, WG: alignUp(Math.max(gpu.profile.sealedThreads, E), 8) } };
}

function overRows(
  model: ModelContext,
  layer: number,
  readers: Readers,
  arena: Arena,
  { kernel, constants }: Reader,
  splitting = decodeSplitting,
): AnyDispatch<Sizes> {
  const { heads: H, kvHeads: G, headWidth: E } = model.config;
  const { cache } = model;
  const format = formatOf(model, layer, arena);
  const words = arena.wordsOf(cache.bundleOf(cache.shape.layout.reads[layer]!));
  // Keys in full page lists of every split: an upper bound, the lists' lengths are on the GPU.
  const keys = (s: Sizes) => readers.count(s) * splitting(s).splits * splitting(s).pagesPerSplit * BLOCK_TOKENS;
  return dispatch({
    kernel,
    constants,
    label: `layer ${layer} attention${!isWritten(format) ? `, ${format.name}` : ""}`,
    buffers: buffersOf(model, layer, readers.span, arena),
    params: (s: Sizes) => ({
      ...numbersOf(model, layer, arena, readers, s),
      pagesPerSplit: splitting(s).pagesPerSplit,
    }),
    grid: (s) => (s.arenas.includes(arena.number) ? [G, splitting(s).splits, readers.count(s)] : [0, 0, 0]),
    bytes: (s) => (keys(s) * G * words * 4) / BLOCK_TOKENS,
    flops: (s) => 4 * keys(s) * H * E,
  });
}

/** Keys of the longest list, rounded up to whole splits. */
const listKeys = ({ splits, pagesPerSplit }: Sizes): number => splits * pagesPerSplit * BLOCK_TOKENS;

/** Keys that the rows of a chunk see, added up: half of the square within the chunk, and all before it; at most a window for each. */
function seenKeys(s: Sizes, window: number): number {
  const rows = chunkRows(s);
  const seen = rows * Math.max(0, listKeys(s) - rows / 2);
  return window > 0 ? Math.min(seen, rows * window) : seen;
}

/** The rows of a prompt chunk over the written pages. */
export function prefillAttention(
  model: ModelContext,
  layer: number,
  readers: Readers,
  variant: PrefillVariant,
): AnyDispatch<Sizes>[] {
  const { heads: H, kvHeads: G, headWidth: E } = model.config;
  const share = variant.kernel === "attn_prefill_tile" ? { SHARE: variant.share ? 1 : 0 } : {};
  const constants = { WG: variant.threads, H, G, E, KV_BITS: model.cache.written.bits, ...share };
  return writtenOf(model, layer).map((arena) =>
    dispatch({
      kernel: families.attn_prefill[variant.kernel],
      constants,
      label: `layer ${layer} prefill attention`,
      buffers: buffersOf(model, layer, readers.span, arena),
      params: (s: Sizes) => ({ ...numbersOf(model, layer, arena, readers, s), count: chunkRows(s) }),
      grid: (s) => (s.arenas.includes(arena.number) ? prefillGrid(variant, chunkRows(s), H, G) : [0, 0, 0]),
      // Queries and outputs, and the keys and values once: tiles of rows that run side by side find them in the cache.
      bytes: (s) => 8 * chunkRows(s) * H * E + (listKeys(s) * G * arena.pageWords * 4) / BLOCK_TOKENS,
      flops: (s) => 4 * seenKeys(s, model.config.windows[layer]!) * H * E,
    }),
  );
}

function combine(
  { config, activations, profile }: ModelContext,
  layer: number,
  { entries, firstRow, count }: Readers,
): AnyDispatch<Sizes> {
  const { heads: H, headWidth: E } = config;
  const { threads: WG, columns: COLUMNS, batch: BATCH } = profile.combine;
  const across = WG > COLUMNS ? ceilDiv(E, COLUMNS) : 1;
  return dispatch({
    kernel: attn_combine,
    constants: { H, E, WG, COLUMNS, BATCH },
    label: `layer ${layer} combine`,
    buffers: { partials: activations.partials, out: activations.attended },
    params: (s: Sizes) => ({ firstRow: firstRow(s), entries: entries(s) }),
    grid: (s) => (entries(s) > 1 ? [H, count(s), across] : [0, 0, 0]),
    bytes: (s) => 4 * count(s) * H * (entries(s) + 1) * E,
    flops: (s) => 2 * count(s) * H * entries(s) * E,
  });
}

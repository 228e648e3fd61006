// Keys and values into the cache, attention over page lists. One dispatch per arena buffer of the store.
import { alignUp, ceilDiv } from "../errors.ts";
import {
  attn_combine,
  attn_decode,
  attn_decode_sg,
  attn_prefill_regs,
  attn_prefill_tile,
  rope_kv,
} from "../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../gpu/program.ts";
import { BLOCK_TOKENS } from "../kv/blocks.ts";
import type { Sizes } from "./ops.ts";
import type { Parts } from "./parts.ts";
import { prefillGrid } from "./variants.ts";
import type { Vector } from "./weights.ts";

/** Pages that one workgroup of a decoding row goes through, as long as there are not too many workgroups. */
const PAGES_PER_SPLIT = 8;
/** Most parts a page list is split into; longer lists get longer parts. */
export const MAX_SPLITS = 32;

/** Both are powers of two for a cache of `length` tokens: parameters change rarely. */
export function splitsFor(length: number): Pick<Sizes, "splits" | "pagesPerSplit"> {
  const pages = 2 ** Math.ceil(Math.log2(ceilDiv(length, BLOCK_TOKENS)));
  const splits = Math.min(MAX_SPLITS, Math.max(1, pages / PAGES_PER_SPLIT));
  return { splits, pagesPerSplit: pages / splits };
}

const prefillRows = ({ rows, decodeRows }: Sizes): number => rows - decodeRows;
const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Rotates q and k of every row; q goes to `query`, k and v to the row's own cache slot. */
export async function ropeIntoCache(
  { gpu, config, activations, store, rope }: Parts,
  layer: number,
  headNorm: Vector | undefined,
): Promise<AnyDispatch<Sizes>[]> {
  const { heads: H, kvHeads: G, headWidth: E, normEpsilon } = config;
  const { rows, qkv, query } = activations;
  const { maxPages, codec } = store.shape;
  const kernel = await gpu.kernel(rope_kv, { WG: 64, H, G, E, KV_BITS: codec.bits, QK_NORM: headNorm ? 1 : 0 });
  const width = (H + 2 * G) * E;
  return indices(store.parts).map((part) =>
    dispatch({
      kernel,
      label: `layer ${layer} rope`,
      buffers: {
        qkv,
        rows,
        rope,
        table: store.table,
        headNorm: headNorm ?? gpu.unused,
        q: query,
        kv: store.arena(layer, part),
      },
      params: () => ({
        maxPages,
        stride: store.lanes,
        lane0: store.lane0(layer),
        part,
        writeQ: part === 0 ? 1 : 0,
        eps: normEpsilon,
      }),
      grid: (s: Sizes) => [ceilDiv(width / 2, 64), s.rows, 1],
      bytes: (s) => s.rows * (8 * H * E + 2 * G * E * (4 + codec.bits / 8)),
      flops: (s) => 6 * s.rows * (H + G) * E,
    }),
  );
}

interface Target {
  query: GPUBuffer;
  out: GPUBuffer;
  /** The program runs prompt chunks: rows from decodeRows on are one sequence. */
  prefill: boolean;
}

/** softmax(q·K/√E)·V for every row: decoding rows each over their own pages, a prompt chunk as a tile. */
export async function attention(parts: Parts, layer: number, target: Target): Promise<AnyDispatch<Sizes>[]> {
  const decodeRows = (s: Sizes) => (target.prefill ? s.decodeRows : s.rows);
  const steps = [
    ...(await decode(parts, layer, target, decodeRows)),
    await combine(
      parts,
      layer,
      target,
      (s) => s.splits * parts.store.parts,
      () => 0,
      decodeRows,
    ),
  ];
  if (!target.prefill) return steps;
  steps.push(...(await prefill(parts, layer, target)));
  steps.push(
    await combine(
      parts,
      layer,
      target,
      () => parts.store.parts,
      (s) => s.decodeRows,
      prefillRows,
    ),
  );
  return steps;
}

/** Numbers every attention kernel needs. */
function common({ config, store }: Parts, layer: number) {
  const { maxPages } = store.shape;
  const window = config.windows[layer]!;
  return {
    maxPages,
    stride: store.lanes,
    lane0: store.lane0(layer),
    parts: store.parts,
    window,
    scale: 1 / Math.sqrt(config.headWidth),
  };
}

async function decode(
  parts: Parts,
  layer: number,
  { query, out }: Target,
  count: (s: Sizes) => number,
): Promise<AnyDispatch<Sizes>[]> {
  const { gpu, config, store, activations } = parts;
  const { heads: H, kvHeads: G, headWidth: E } = config;
  const { codec } = store.shape;
  const { kernel: name, threads } = parts.variants.decode;
  const constants = { H, G, E, KV_BITS: codec.bits, R: H / G };
  const kernel =
    name === "attn_decode"
      ? await gpu.kernel(attn_decode, { ...constants, WG: alignUp(Math.max(threads, (E * codec.bits) / 32), 8) })
      : await gpu.kernel<typeof attn_decode>(
          attn_decode_sg as unknown as typeof attn_decode,
          { ...constants, LANES: threads } as never,
        );
  return indices(store.parts).map((part) =>
    dispatch({
      kernel,
      label: `layer ${layer} attention`,
      buffers: {
        q: query,
        rows: activations.rows,
        table: store.table,
        kv: store.arena(layer, part),
        partials: activations.partials,
        out,
      },
      params: (s: Sizes) => ({
        ...common(parts, layer),
        firstRow: 0,
        part,
        splits: s.splits,
        pagesPerSplit: s.pagesPerSplit,
      }),
      grid: (s) => [G, s.splits, count(s)],
      // What a full page list of every split costs: an upper bound, the lists' lengths are on the GPU.
      bytes: (s) => count(s) * s.splits * s.pagesPerSplit * BLOCK_TOKENS * G * E * (codec.bits / 4),
      flops: (s) => 4 * count(s) * s.splits * s.pagesPerSplit * BLOCK_TOKENS * H * E,
    }),
  );
}

async function prefill(parts: Parts, layer: number, { query, out }: Target): Promise<AnyDispatch<Sizes>[]> {
  const { gpu, config, store, activations } = parts;
  const { heads: H, kvHeads: G, headWidth: E } = config;
  const variant = parts.variants.prefill;
  const source =
    variant.kernel === "attn_prefill_regs"
      ? attn_prefill_regs
      : (attn_prefill_tile as unknown as typeof attn_prefill_regs);
  const kernel = await gpu.kernel<typeof attn_prefill_regs>(source, {
    WG: variant.threads,
    H,
    G,
    E,
    KV_BITS: store.shape.codec.bits,
  });
  return indices(store.parts).map((part) =>
    dispatch({
      kernel,
      label: `layer ${layer} prefill attention`,
      buffers: {
        q: query,
        rows: activations.rows,
        table: store.table,
        kv: store.arena(layer, part),
        partials: activations.partials,
        out,
      },
      params: (s: Sizes) => ({ ...common(parts, layer), firstRow: s.decodeRows, count: prefillRows(s), part }),
      grid: (s) => prefillGrid(variant, prefillRows(s), H),
      bytes: (s) => 8 * prefillRows(s) * H * E,
      // Keys before the chunk are unknown here; within it half of the square is visible.
      flops: (s) => 2 * prefillRows(s) ** 2 * H * E,
    }),
  );
}

async function combine(
  parts: Parts,
  layer: number,
  { out }: Target,
  entries: (s: Sizes) => number,
  firstRow: (s: Sizes) => number,
  count: (s: Sizes) => number,
): Promise<AnyDispatch<Sizes>> {
  const { gpu, config, activations } = parts;
  const { heads: H, headWidth: E } = config;
  return dispatch({
    kernel: await gpu.kernel(attn_combine, { H, E }),
    label: `layer ${layer} combine`,
    buffers: { partials: activations.partials, out },
    params: (s: Sizes) => ({ firstRow: firstRow(s), entries: entries(s) }),
    grid: (s) => (entries(s) > 1 ? [H, count(s), 1] : [0, 0, 0]),
    bytes: (s) => 4 * count(s) * H * (entries(s) + 1) * E,
    flops: (s) => 2 * count(s) * H * entries(s) * E,
  });
}

// Which runs of tokens become one, and what they become: the dispatches, and the buffers between them.
import { kvmerger_cuts, kvmerger_merge, top_slots } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import type { Arena } from "../../arena.ts";
import { BLOCK_TOKENS, blocksFor } from "../../blocks.ts";
import type { KvCache } from "../../cache.ts";
import { columnOf } from "../../layout.ts";
import type { StepSizes, SystemContext } from "../../system.ts";
import { type Scoring, scoresOf } from "../pyramid/scoring.ts";

/** One workgroup chooses for a list. */
const CHOICE_THREADS = 256;

export interface MergeOptions {
  /** First tokens that stay alone. */
  sinks: number;
  /** Width σ of the weights, in the distance of keys. */
  sigma: number;
  /** Tokens that stay alone, of a list's that have the largest scores, at most. */
  mostAlone: number;
  /** Those of a prompt of so many tokens, and sets of each list. */
  alone(tokens: number): number;
  sets(tokens: number): number;
}

/** Runs in the step that ends a prompt only. */
const atPromptEnd = <K extends Parameters<typeof dispatch>[0]["kernel"]>(
  typed: Parameters<typeof dispatch<K, StepSizes>>[0],
): AnyDispatch<StepSizes> => dispatch({ ...typed, grid: (s) => (s.promptEnd ? typed.grid(s) : [0, 0, 0]) });

const made = new WeakMap<KvCache, GPUBuffer>();

/** [G, mostAlone] u32: slots of a store's lists that stay alone; the stores' turn by turn. */
function aloneOf({ gpu, cache, model }: SystemContext, { mostAlone }: MergeOptions): GPUBuffer {
  const known = made.get(cache);
  if (known) return known;
  const buffer = gpu.buffer("tokens that stay alone", 4 * model.kvHeads * Math.max(1, mostAlone), "scratch");
  made.set(cache, buffer);
  return buffer;
}

const tokensOf = ({ promptEnd }: StepSizes): number => promptEnd?.tokens ?? 0;

/** Writes the first slot of each set of a store's lists, once all of its readers have scored. */
export function chooseSets(
  context: SystemContext,
  scoring: Scoring,
  store: number,
  options: MergeOptions,
): AnyDispatch<StepSizes>[] {
  const { cache, model, keep, keepStride } = context;
  const { scores, first, stride, spare } = scoresOf(context, scoring, store);
  const G = model.kvHeads;
  const alone = aloneOf(context, options);
  const slots = (s: StepSizes) => scoring.pagesGivenUp(tokensOf(s)) * BLOCK_TOKENS;
  /** The `count` largest of these numbers, by slot. */
  const top = (
    label: string,
    from: { scores: GPUBuffer; first: number },
    to: { keep: GPUBuffer; column: number; keepStride: number },
    count: (s: StepSizes) => number,
  ) =>
    atPromptEnd({
      kernel: top_slots,
      constants: { WG: CHOICE_THREADS },
      label: `store ${store} ${label}`,
      buffers: { scores: from.scores, keep: to.keep },
      params: (s) => ({
        first: from.first,
        stride,
        slots: slots(s),
        count: count(s),
        column: to.column,
        keepStride: to.keepStride,
      }),
      grid: (s) => (count(s) > 0 ? [G, 1, 1] : [0, 0, 0]),
      bytes: (s) => 4 * G * (6 * slots(s) + count(s)),
      flops: () => 0,
    });
  return [
    top("tokens that stay alone", { scores, first }, { keep: alone, column: 0, keepStride: options.mostAlone }, (s) =>
      options.alone(tokensOf(s)),
    ),
    ...cache.writtenArenasOf(store).map((arena) => cuts(context, scoring, store, arena, options)),
    top("sets", { scores: spare, first: 0 }, { keep, column: columnOf(store, G), keepStride }, (s) =>
      options.sets(tokensOf(s)),
    ),
  ];
}

function cuts(context: SystemContext, scoring: Scoring, store: number, arena: Arena, options: MergeOptions) {
  const { cache, model } = context;
  const { kvHeads: G, headWidth: E } = model;
  const { stride, spare } = scoresOf(context, scoring, store);
  const pages = (s: StepSizes) => scoring.pagesGivenUp(tokensOf(s));
  return atPromptEnd({
    kernel: kvmerger_cuts,
    constants: { E, KV_BITS: cache.written.bits },
    label: `store ${store} how keys differ`,
    buffers: {
      table: cache.lists.table,
      source: arena.buffers[cache.bundleOf(store)]!,
      alone: aloneOf(context, options),
      cuts: spare,
    },
    params: (s: StepSizes) => ({
      ...listParams(context, store, arena, s),
      sinks: options.sinks,
      alone: options.alone(tokensOf(s)),
      aloneStride: options.mostAlone,
      stride,
    }),
    grid: (s) => [G, pages(s), 1],
    bytes: (s) => G * pages(s) * cache.written.words(E) * 4,
    flops: (s) => 6 * G * pages(s) * BLOCK_TOKENS * E,
  });
}

/** Where a list is read. */
const listParams = ({ cache, model }: SystemContext, store: number, arena: Arena, s: StepSizes) => ({
  listLength: cache.lists.listLength,
  columns: cache.columns,
  column: columnOf(store, model.kvHeads),
  row: s.promptEnd?.sequence ?? 0,
  arena: arena.number,
});

/** Writes the private pages of a store's lists: one dispatch per arena that holds tokens of whole prompts. */
export function mergeSets(
  context: SystemContext,
  scoring: Scoring,
  store: number,
  options: MergeOptions,
): AnyDispatch<StepSizes>[] {
  const { cache, model, keep, keepStride } = context;
  const { kvHeads: G, headWidth: E } = model;
  const { scores, first, stride } = scoresOf(context, scoring, store);
  const bundle = cache.bundleOf(store);
  const slots = (s: StepSizes) => scoring.pagesGivenUp(tokensOf(s)) * BLOCK_TOKENS;
  return cache.writtenArenasOf(store).map((arena) =>
    atPromptEnd({
      kernel: kvmerger_merge,
      constants: { E, KV_BITS: cache.written.bits },
      label: `store ${store} merge`,
      buffers: {
        table: cache.lists.table,
        keep,
        source: arena.buffers[bundle]!,
        scores,
        kv: cache.privatePages!.arena.buffers[bundle]!,
      },
      params: (s: StepSizes) => ({
        ...listParams(context, store, arena, s),
        preparedRow: cache.preparedSequence,
        keepStride,
        count: options.sets(tokensOf(s)),
        slots: slots(s),
        first,
        stride,
        spread: 1 / (2 * options.sigma ** 2),
      }),
      grid: (s) => [G, BLOCK_TOKENS, blocksFor(options.sets(tokensOf(s)))],
      bytes: (s) => G * slots(s) * ((3 * E * cache.written.bits) / 8 + 128),
      flops: (s) => 7 * G * slots(s) * E,
    }),
  );
}

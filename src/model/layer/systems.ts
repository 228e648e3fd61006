// Where a recipe's systems stand in a layer, and what is done for all of them: the move of kept tokens to private pages.
import { compact } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { BLOCK_TOKENS, blocksFor } from "../../kv/blocks.ts";
import { columnOf } from "../../kv/layout.ts";
import type { Place, StepSizes, SystemContext } from "../../kv/system.ts";
import { readersOf } from "../../kv/systems/swiftkv/layout.ts";
import { recordsOf } from "../../kv/lists.ts";
import type { ModelContext, Span } from "../context.ts";
import type { Sizes } from "../ops/sizes.ts";

/** What a system's dispatches for these rows work on. */
export const contextOf = ({ systemContext, cache }: ModelContext, span: Span): SystemContext => ({
  ...systemContext,
  records: recordsOf(cache.lists, span),
});

/** The systems' own dispatches at a place of a layer. */
export const atPlace = (model: ModelContext, place: Place, layer: number, span: Span): AnyDispatch<Sizes>[] =>
  model.systems.flatMap((system) => system.at?.(place, layer, contextOf(model, span)) ?? []);

/** Once the last layer has read a store: at the end of a prompt of which only some tokens stay, which, and their move; and what stands for a page that goes. */
export function keepTokens(model: ModelContext, layer: number, span: Span): AnyDispatch<Sizes>[] {
  const { layout } = model.cache.shape;
  const store = layout.reads[layer]!;
  const retaining = model.systems.find((system) => system.retaining)?.retaining;
  if (!retaining || readersOf(layout, store).at(-1) !== layer) return [];
  const ends = [...retaining.select(store, contextOf(model, span)), ...moves(model, store)];
  const retires = retaining.retiring?.take(store, contextOf(model, span)) ?? [];
  return [
    ...onlyIf(({ promptEnd }) => promptEnd !== null, ends),
    ...onlyIf(({ retiring }) => retiring !== null, retires),
  ];
}

const onlyIf = (wanted: (sizes: StepSizes) => boolean, dispatches: AnyDispatch<StepSizes>[]): AnyDispatch<Sizes>[] =>
  dispatches.map((each) => ({ ...each, grid: (s: Sizes) => (wanted(s) ? each.grid(s) : [0, 0, 0]) }));

/** One dispatch per arena that holds tokens of whole prompts. */
function moves({ cache, systemContext, config }: ModelContext, store: number): AnyDispatch<StepSizes>[] {
  const { lists, privateArena } = cache;
  const bundle = cache.bundleOf(store);
  const { kvHeads, headWidth } = config;
  return cache.writtenArenasOf(store).map((from) =>
    dispatch({
      kernel: compact,
      constants: { E: headWidth, KV_BITS: cache.written.bits },
      label: `store ${store} keep`,
      buffers: {
        table: lists.table,
        keep: systemContext.keep,
        source: from.buffers[bundle]!,
        destination: privateArena!.buffers[bundle]!,
      },
      params: ({ promptEnd }: StepSizes) => ({
        listLength: lists.listLength,
        columns: cache.columns,
        column: columnOf(store, kvHeads),
        row: promptEnd?.sequence ?? 0,
        preparedRow: cache.preparedSequence,
        arena: from.number,
        keepStride: systemContext.keepStride,
      }),
      grid: ({ promptEnd }: StepSizes) => [kvHeads, BLOCK_TOKENS, blocksFor(promptEnd?.kept ?? 0)],
      bytes: ({ promptEnd }: StepSizes) => 2 * kvHeads * blocksFor(promptEnd?.kept ?? 0) * from.pageWords * 4,
      flops: () => 0,
    }),
  );
}

// Where a recipe's systems stand in a layer.
import { type AnyDispatch, onlyIf } from "../../gpu/program.ts";
import type { Layout } from "../../kv/layout.ts";
import { optional } from "../../kv/optional.ts";
import type { Place, Retaining, SystemContext } from "../../kv/system.ts";
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

const movesOf = ({ merging }: Retaining, store: number, context: SystemContext): AnyDispatch<Sizes>[] =>
  merging ? merging.merge(store, context) : optional.now.keptMoves(context, store);

/** Once the last layer has read a store: at the end of a prompt, which tokens stay, and their move, and what is chosen for lists; and what stands for a page that goes. */
export function keepTokens(model: ModelContext, layer: number, span: Span): AnyDispatch<Sizes>[] {
  const { layout } = model.cache.shape;
  const retaining = model.systems.find((system) => system.retaining)?.retaining;
  const choosing = model.systems.find((system) => system.choosing)?.choosing;
  if (!retaining && !choosing) return [];
  const context = contextOf(model, span);
  return endingStores(layout, layer, retaining?.together ?? false).flatMap((store) => [
    ...onlyIf(
      ({ promptEnd }) => promptEnd !== null,
      [
        ...(retaining?.select(store, context) ?? []),
        ...model.systems.flatMap((system) => system.absorb?.(store, context) ?? []),
        ...(choosing?.choose(store, context) ?? []),
        ...(retaining ? movesOf(retaining, store, context) : []),
      ],
    ),
    ...onlyIf(({ retiring }) => retiring !== null, retaining?.retiring?.take(store, context) ?? []),
  ]);
}

/** Stores that no later layer reads; all of them with the last layer, where they are decided together. */
function endingStores(layout: Layout, layer: number, together: boolean): number[] {
  if (together && layer < layout.reads.length - 1) return [];
  if (together) return Array.from({ length: layout.stores }, (_, store) => store);
  const store = layout.reads[layer]!;
  return readersOf(layout, store).at(-1) === layer ? [store] : [];
}

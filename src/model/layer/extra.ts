// What systems add to a layer: partial results beside those of attention, and what is done at the end of prompts.
import { type AnyDispatch, onlyIf } from "../../gpu/program.ts";
import type { Layout } from "../../kv/layout.ts";
import { recordsOf } from "../../kv/lists.ts";
import { optional } from "../../kv/optional.ts";
import type { PartialContext, Retaining, StepSizes, SystemContext } from "../../kv/system.ts";
import { readersOf } from "../../kv/systems/swiftkv/layout.ts";
import type { ModelContext, Span } from "../context.ts";
import type { Sizes } from "../ops/sizes.ts";
import { extraCount, isIn, type Readers } from "./partials.ts";
import { contextOf } from "./systemcontext.ts";

/** The systems' partials of these rows: the last ones of each row and head, system after system. */
export function extraPartials(model: ModelContext, layer: number, readers: Readers): AnyDispatch<Sizes>[] {
  return model.systems.flatMap((system, i) => {
    const back = (s: Sizes) => extraCount(model.systems.slice(i), s);
    const dispatches = system.partials?.write(layer, partialContext(model, readers, back)) ?? [];
    return dispatches.map((each) => ({
      ...each,
      grid: (s: Sizes) => (readers.count(s) > 0 && isIn(system, s) ? each.grid(s) : [0, 0, 0]),
    }));
  });
}

/** `back`: how far before the end of a row and head's partials the system's begin. */
function partialContext(
  { systemContext, cache, activations }: ModelContext,
  readers: Readers,
  back: (sizes: Sizes) => number,
): PartialContext {
  const sizes = (s: StepSizes) => s as Sizes; // what systems see of them is less
  return {
    ...systemContext,
    records: recordsOf(cache.lists, readers.span),
    partials: activations.partials,
    rows: (s) => ({ firstRow: readers.firstRow(sizes(s)), count: readers.count(sizes(s)) }),
    place: (s) => ({ entries: readers.entries(sizes(s)), entry: readers.entries(sizes(s)) - back(sizes(s)) }),
  };
}

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

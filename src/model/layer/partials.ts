// Where the partial results of attention lie, and those that systems add to them.
import type { AnyDispatch } from "../../gpu/program.ts";
import { recordsOf } from "../../kv/lists.ts";
import type { Arena } from "../../kv/arena.ts";
import type { KvSystem, PartialContext, StepSizes } from "../../kv/system.ts";
import type { ModelContext, Span } from "../context.ts";
import type { Sizes } from "../ops/sizes.ts";

/** Rows whose lists are read, and where their partials lie. */
export interface Readers {
  span: Span;
  firstRow: (sizes: Sizes) => number;
  count: (sizes: Sizes) => number;
  /** Partials of a row and head. With one the attention kernel has written the result itself. */
  entries: (sizes: Sizes) => number;
  /** The first partial that the dispatch for an arena writes. */
  entry: (sizes: Sizes, arena: Arena) => number;
}

/** Workgroups that share a row's list, and pages of each. */
export type Splitting = (sizes: Sizes) => Pick<Sizes, "splits" | "pagesPerSplit">;

/** Whether a system has partials in a step; with none named, in any. */
const isIn = ({ partials }: KvSystem, sizes?: Sizes): boolean =>
  partials !== undefined && (!sizes || (partials.isIn?.(sizes) ?? true));

/** Of a row and head, all systems together: in a step, or at most. */
export const extraCount = (systems: readonly KvSystem[], sizes?: Sizes): number =>
  systems.reduce((sum, system) => sum + (isIn(system, sizes) ? system.partials!.count : 0), 0);

/** The systems' partials of these rows: the last ones of each row and head, system after system. */
export function extraPartials(model: ModelContext, layer: number, readers: Readers): AnyDispatch<Sizes>[] {
  return model.systems.flatMap((system, i) => {
    const back = (s: Sizes) => extraCount(model.systems.slice(i), s);
    const dispatches = system.partials?.write(layer, contextOf(model, readers, back)) ?? [];
    return dispatches.map((each) => ({
      ...each,
      grid: (s: Sizes) => (readers.count(s) > 0 && isIn(system, s) ? each.grid(s) : [0, 0, 0]),
    }));
  });
}

/** `back`: how far before the end of a row and head's partials the system's begin. */
function contextOf(
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

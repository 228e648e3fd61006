// Where the partial results of attention lie, and how many systems add to them.
import type { Arena } from "../../kv/arena.ts";
import type { KvSystem } from "../../kv/system.ts";
import type { Span } from "../context.ts";
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
export const isIn = ({ partials }: KvSystem, sizes?: Sizes): boolean =>
  partials !== undefined && (!sizes || (partials.isIn?.(sizes) ?? true));

/** Of a row and head, all systems together: in a step, or at most. */
export const extraCount = (systems: readonly KvSystem[], sizes?: Sizes): number =>
  systems.reduce((sum, system) => sum + (isIn(system, sizes) ? system.partials!.count : 0), 0);

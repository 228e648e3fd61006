// Whose queries choose, where their lists are, and how many threads work for them.
import type { StepSizes, SystemContext } from "../../system.ts";
import { columnOf } from "../../layout.ts";

/** Rows of a step of which each has lists of its own. */
export interface Rows<D> {
  firstRow: (sizes: D) => number;
  count: (sizes: D) => number;
}

/** Rows whose queries choose. */
export interface Choosers extends Rows<StepSizes> {
  /** Chunks to choose from; 0: of each list what its head says. */
  chunks: (sizes: StepSizes) => number;
  /** Block of chunk 0, where `chunks` says how many there are. */
  region: (sizes: StepSizes) => number;
  /** The most that a list has. */
  span: (sizes: StepSizes) => number;
}

/** Threads of a workgroup, where they work alone and where they wait for each other; those that bring chunks back, and workgroups. */
export const threadsOf = ({ gpu }: SystemContext) =>
  gpu.profile.kernels === "registers"
    ? { alone: 16, together: 16, lanes: 4, movers: 2 }
    : { alone: 64, together: 256, lanes: 64, movers: 64 };

/** Where a store's lists are. */
export const listsOf = ({ cache, model }: SystemContext, store: number) => ({
  listLength: cache.lists.listLength,
  columns: cache.columns,
  column: columnOf(store, model.kvHeads),
});

/** Decoding rows, at most one of each sequence; none while all their prompts are whole. */
export const decodingRows = ({ cache }: SystemContext, { decodeRows, pagesGivenUp }: StepSizes): number =>
  pagesGivenUp > 0 ? Math.min(decodeRows, cache.shape.sequences) : 0;

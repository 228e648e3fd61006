// What the dispatches of a step are sized by.
import type { StepSizes } from "../../kv/system.ts";

/** What changes from step to step. */
export interface Sizes extends StepSizes {
  /** Rows whose logits are wanted. */
  logitRows: number;
  /** Parts into which the page lists of a decoding row are split, and pages of each. */
  splits: number;
  pagesPerSplit: number;
  /** Parts into which the lists of a chunk's rows are split, where they lead to sealed pages. */
  chunkSplits: number;
  /** Numbers of the arenas that the rows' lists lead to. */
  arenas: readonly number[];
  /** Past the boundary: rows 0 … inPlace−1 lie where they did, the others are gathered. */
  inPlace: number;
  /** Past the boundary: the first layer's queries have been made together with its keys and values. */
  queried: boolean;
}

// What the dispatches of a step are sized by.
import type { StepSizes } from "../../kv/system.ts";
import type { MadeTokens } from "../model.ts";

/** What changes from step to step. */
export interface Sizes extends StepSizes {
  /** Rows whose logits are wanted. */
  logitCount: number;
  /** They are the first ones, in order: those of a decoding batch. */
  wantedFirst: boolean;
  /** Workgroups that share the page list of a decoding row and KV head, and pages of each. */
  splits: number;
  pagesPerSplit: number;
  /** Workgroups that share a list of a chunk's row, where it leads to sealed pages. */
  chunkSplits: number;
  /** Numbers of the arenas that the rows' lists refer to. */
  arenas: readonly number[];
  /** Some rows are those of pictures. */
  pictured?: boolean;
  /** Past the boundary: rows 0 … inPlace−1 lie where they did, the others are gathered. */
  inPlace: number;
  /** Past the boundary: the first layer's queries have been made together with its keys and values. */
  queried: boolean;
  /** Past the boundary, where prompts are streamed: tokens whose keys and values of later stores are made from their inputs. */
  made: MadeTokens | null;
}

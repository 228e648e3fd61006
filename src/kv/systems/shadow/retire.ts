// Pages of a reply that have become old: their tokens get factors of the prompt's map, landmarks and values as the prompt's have,
// behind those. From the next step on they are chunks like the others, of which none is there yet.
import type { AnyDispatch } from "../../../gpu/program.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { RetiringSizes, StepSizes, SystemContext } from "../../system.ts";
import type { ShadowShape } from "./shape.ts";
import { keepValues, keysOf, knownMap, landmarksOf, project, type Range } from "./tokens.ts";

/** Tokens of a page that goes. */
export const pageRange = ({ sequence, page, region }: RetiringSizes): Range => ({
  sequence,
  begin: page * BLOCK_TOKENS,
  tokens: BLOCK_TOKENS,
  first: (region + page) * BLOCK_TOKENS,
});

const NOTHING: Range = { sequence: 0, begin: 0, tokens: 0, first: 0 };

export function takePage(context: SystemContext, shape: ShadowShape, store: number): AnyDispatch<StepSizes>[] {
  const job = { context, shape, store };
  const range = ({ retiring }: StepSizes) => (retiring ? pageRange(retiring) : NOTHING);
  return [
    knownMap(job, (s) => range(s).sequence),
    ...keysOf(job, "keys", range),
    project(job, range),
    ...keepValues(job, range),
    ...landmarksOf(job, range),
  ];
}

// A prompt's last queries as those that score its tokens.
import { blocksFor } from "../../blocks.ts";
import { lastRows } from "../../plan.ts";
import { pagesGivenUp } from "./budgets.ts";
import type { Scoring } from "./scoring.ts";

/** A layer's part, of the last `window` queries. */
export const windowScoring = (layer: number, window: number): Scoring => ({
  layer,
  windowRows: window,
  looking: ({ promptEnd }) =>
    promptEnd && {
      sequence: promptEnd.sequence,
      pages: blocksFor(promptEnd.tokens),
      ...lastRows(promptEnd, window),
    },
  pagesGivenUp: (tokens) => pagesGivenUp(tokens, window),
  most: false,
  lasts: false,
  goesOn: () => false,
});

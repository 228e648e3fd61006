// A prompt's last queries as those that score its tokens.
import { blocksFor } from "../../blocks.ts";
import { lastRows } from "../../plan.ts";
import { pagesGivenUp } from "./budgets.ts";
import type { Scoring } from "./scoring.ts";

/** All pages count. */
export const NO_GAPS = { gapAt: 0, gap: 0, endAt: 0, endGap: 0 };

/** A layer's part, of the last `window` queries. */
export const windowScoring = (layer: number, window: number): Scoring => ({
  layer,
  windowRows: window,
  looking: ({ promptEnd }) =>
    promptEnd && {
      sequence: promptEnd.sequence,
      pages: blocksFor(promptEnd.tokens),
      ...NO_GAPS,
      ...lastRows(promptEnd, window),
    },
  pagesGivenUp: (tokens) => pagesGivenUp(tokens, window),
  most: false,
  lasts: false,
  scored: ({ promptEnd }) => (promptEnd ? pagesGivenUp(promptEnd.tokens, window) : 0),
  joins: () => 0,
});

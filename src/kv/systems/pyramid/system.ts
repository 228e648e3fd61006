// PyramidKV and SnapKV: at the end of a prompt each list keeps the tokens that the prompt's last queries look at most, and
// gives up the others. The two differ only in how many a layer keeps. docs/kv.md has formulas and costs.
import type { KvModel } from "../../../api.ts";
import { InputError } from "../../../errors.ts";
import { Later } from "../../../later.ts";
import { BLOCK_TOKENS, blocksFor } from "../../blocks.ts";
import { lastRows } from "../../plan.ts";
import type { KvBounds, KvSystem, OptionRule, SystemDefinition } from "../../system.ts";
import { layoutOf, readersOf } from "../swiftkv/layout.ts";
import { chosenTokens, mostChosen, pagesGivenUp, type PyramidOptions } from "./budgets.ts";
import type { Scoring } from "./scoring.ts";

const OPTIONS = {
  budget: { least: 33, most: 1_048_576, default: 512 },
  window: { least: 1, most: 256, default: 32 },
} satisfies Record<string, OptionRule>;

/**
 * Scores are pooled over so many slots to each side, and by maximum: a token that is looked at brings its neighbours along,
 * because a name or a number without the rest of its letters is of no use. Width 7, as PyramidKV was evaluated.
 */
const POOL_RADIUS = 3;

const work = new Later(() => import("./scoring.ts"));

export const pyramid: SystemDefinition = {
  name: "pyramid",
  load: () => work.load(),
  options: { ...OPTIONS, beta: { least: 1, most: 1000, fraction: true, default: 20 } },
  create: ({ budget, window, beta }, model, bounds) =>
    createSystem("pyramid", { budget: budget!, window: window!, beta: beta! }, model, bounds),
};

export const snapkv: SystemDefinition = {
  name: "snapkv",
  load: () => work.load(),
  options: OPTIONS,
  create: ({ budget, window }, model, bounds) =>
    createSystem("snapkv", { budget: budget!, window: window!, beta: 1 }, model, bounds),
};

/**
 * The exact part ends with the prompt and begins with a page: window … window + 31 tokens, which count towards the budget. A
 * budget of 32 more than the window leaves at least one token to choose, so that the budget is met for every prompt.
 */
function checkBudget(name: string, { budget, window }: PyramidOptions): void {
  const least = window + BLOCK_TOKENS;
  if (budget >= least) return;
  throw new InputError(
    `kv: ${name}:budget; got ${budget} with window=${window}, want at least ${least}: up to ${least - 1} tokens at a prompt's end stay as they are, and count. Take a larger budget or a smaller window.`,
  );
}

function createSystem(
  name: string,
  options: PyramidOptions,
  { layers, kvHeads, swiftkv }: KvModel,
  bounds: KvBounds,
): KvSystem {
  checkBudget(name, options);
  const { window } = options;
  const layout = bounds.layout ?? layoutOf(layers, swiftkv);
  const chosen = (tokens: number) => chosenTokens(tokens, layout.stores, options);
  const scoringOf = (layer: number): Scoring => ({
    layer,
    windowRows: window,
    looking: ({ promptEnd }) =>
      promptEnd && {
        sequence: promptEnd.sequence,
        pages: blocksFor(promptEnd.tokens),
        ...work.now.ALL_COUNT,
        ...lastRows(promptEnd, window),
      },
    pagesGivenUp: (tokens) => pagesGivenUp(tokens, window),
    most: false,
    lasts: false,
    scored: ({ promptEnd }) => (promptEnd ? pagesGivenUp(promptEnd.tokens, window) : 0),
    joins: () => 0,
  });
  return {
    name,
    retaining: {
      windowRows: window,
      most: mostChosen(layout.stores, options),
      retain(tokens) {
        const counts = chosen(tokens);
        if (!counts) return null;
        const lists = counts.flatMap((count) => Array.from({ length: kvHeads }, () => count));
        return { liveFrom: pagesGivenUp(tokens, window), tokens: lists };
      },
      select(store, context) {
        const scoring = scoringOf(readersOf(layout, store).at(-1)!);
        const count = (tokens: number) => chosen(tokens)?.[store] ?? 0;
        const choice = { store, count, radius: POOL_RADIUS };
        return [...work.now.scoreSlots(context, scoring), ...work.now.chooseSlots(context, scoring, choice)];
      },
    },
    /** Layers that share a store and are not the last to read it: their scores are added up. */
    at(place, layer, context) {
      const isLast = readersOf(layout, layout.reads[layer]!).at(-1) === layer;
      return place === "afterAttention" && !isLast ? work.now.scoreSlots(context, scoringOf(layer)) : [];
    },
  };
}

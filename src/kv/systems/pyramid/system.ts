// PyramidKV and SnapKV: at the end of a prompt each list keeps the tokens that the prompt's last queries look at most, and
// gives up the others. The two differ only in how many a layer keeps. docs/kv.md has formulas and costs.
import type { KvModel } from "../../../api.ts";
import { InputError } from "../../../errors.ts";
import { Later } from "../../../later.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { KvSystem, OptionRule, PromptEndSizes, SystemDefinition } from "../../system.ts";
import { layoutOf, readersOf } from "../swiftkv/layout.ts";
import { chosenTokens, mostChosen, pagesGivenUp, type PyramidOptions } from "./budgets.ts";
import type { Scoring } from "./scoring.ts";

const OPTIONS = {
  budget: { least: 33, most: 1_048_576, default: 512 },
  window: { least: 1, most: 256, default: 32 },
} satisfies Record<string, OptionRule>;

const work = new Later(() => import("./scoring.ts"));

export const pyramid: SystemDefinition = {
  name: "pyramid",
  load: () => work.load(),
  options: { ...OPTIONS, beta: { least: 1, most: 1000, fraction: true, default: 20 } },
  create: ({ budget, window, beta }, model) =>
    createSystem("pyramid", { budget: budget!, window: window!, beta: beta! }, model),
};

export const snapkv: SystemDefinition = {
  name: "snapkv",
  load: () => work.load(),
  options: OPTIONS,
  create: ({ budget, window }, model) => createSystem("snapkv", { budget: budget!, window: window!, beta: 1 }, model),
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

function createSystem(name: string, options: PyramidOptions, { layers, kvHeads, swiftkv }: KvModel): KvSystem {
  checkBudget(name, options);
  const { window } = options;
  const layout = layoutOf(layers, swiftkv);
  const chosen = (tokens: number) => chosenTokens(tokens, layout.stores, options);
  const scoringOf = (layer: number): Scoring => ({
    layer,
    windowRows: window,
    pagesGivenUp: (tokens) => pagesGivenUp(tokens, window),
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
        const count = ({ tokens }: PromptEndSizes) => chosen(tokens)?.[store] ?? 0;
        return [...work.now.scoreSlots(context, scoring), ...work.now.chooseSlots(context, scoring, store, count)];
      },
    },
    /** Layers that share a store and are not the last to read it: their scores are added up. */
    at(place, layer, context) {
      const isLast = readersOf(layout, layout.reads[layer]!).at(-1) === layer;
      return place === "afterAttention" && !isLast ? work.now.scoreSlots(context, scoringOf(layer)) : [];
    },
  };
}

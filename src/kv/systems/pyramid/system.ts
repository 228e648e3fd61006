// PyramidKV and SnapKV: at the end of a prompt each list keeps the tokens that the prompt's last queries look at most, and
// gives up the others. The two differ only in how many a layer keeps. docs/kv.md has formulas and costs.
import { Later } from "../../../later.ts";
import type { Layout } from "../../layout.ts";
import type { KvSystem, OptionRule, PromptEndSizes, SystemDefinition } from "../../system.ts";
import { readersOf } from "../swiftkv/layout.ts";
import { checkBudget, chosenTokens, mostChosen, pagesGivenUp, type PyramidOptions } from "./budgets.ts";
import { windowScoring } from "./window.ts";

export const SNAP_OPTIONS = {
  budget: { least: 33, most: 1_048_576, default: 512 },
  window: { least: 1, most: 256, default: 32 },
} satisfies Record<string, OptionRule>;

/**
 * Scores are pooled over so many slots to each side, and by maximum: a token that is looked at brings its neighbours along,
 * because a name or a number without the rest of its letters is of no use. Width 7, as PyramidKV was evaluated.
 */
const POOL_RADIUS = 3;

export const work = new Later(() => import("./scoring.ts"));

export const pyramid: SystemDefinition = {
  name: "pyramid",
  load: () => work.load(),
  options: { ...SNAP_OPTIONS, beta: { least: 1, most: 1000, fraction: true, default: 20 } },
  create: ({ budget, window, beta }, { kvHeads }, _, layout) =>
    createSystem("pyramid", { budget: budget!, window: window!, beta: beta! }, kvHeads, layout),
};

export const snapkv: SystemDefinition = {
  name: "snapkv",
  load: () => work.load(),
  options: SNAP_OPTIONS,
  create: ({ budget, window }, { kvHeads }, _, layout) =>
    createSystem("snapkv", { budget: budget!, window: window!, beta: 1 }, kvHeads, layout),
};

/** What SnapKV and PyramidKV are, and systems that choose as they do. */
export function createSystem(name: string, options: PyramidOptions, kvHeads: number, layout: Layout): KvSystem {
  checkBudget(name, options);
  const { window } = options;
  const chosen = (tokens: number) => chosenTokens(tokens, layout.stores, options);
  const scoringOf = (layer: number) => windowScoring(layer, window);
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

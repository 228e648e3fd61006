// KVMerger: at the end of a prompt runs of tokens with similar keys become one token each. Source: Wang et al. (2407.08454);
// docs/kv.md.
import { InputError } from "../../../errors.ts";
import { Later } from "../../../later.ts";
import type { KvSystem, SystemDefinition } from "../../system.ts";
import { checkBudget, chosenTokens, mostChosen, pagesGivenUp } from "../pyramid/budgets.ts";
import { windowScoring } from "../pyramid/window.ts";
import { readersOf } from "../swiftkv/layout.ts";
import { mergedFormat } from "./format.ts";
import type { MergeOptions } from "./merge.ts";

/** As many channels as the kernel's threads have room for. */
const WIDEST = 256;

const work = new Later(async () => ({ ...(await import("../pyramid/scoring.ts")), ...(await import("./merge.ts")) }));

export const kvmerger: SystemDefinition = {
  name: "kvmerger",
  load: () => work.load(),
  options: {
    budget: { least: 33, most: 1_048_576, default: 512 },
    window: { least: 1, most: 256, default: 32 },
    sinks: { least: 0, most: 32, default: 4 },
    alone: { least: 0, most: 0.4, fraction: true, default: 0.1 },
    sigma: { least: 0.01, most: 1000, fraction: true, default: 5 },
  },
  create({ budget, window, sinks, alone, sigma }, { kvHeads, headWidth }, _, layout): KvSystem {
    const own = { budget: budget!, window: window!, beta: 1 };
    checkBudget("kvmerger", own);
    if (headWidth > WIDEST) {
      throw new InputError(`kv: kvmerger; got heads of ${headWidth} channels, want at most ${WIDEST}. Leave it out.`);
    }
    const sets = (tokens: number) => chosenTokens(tokens, layout.stores, own)?.[0] ?? 0; // of every list alike
    const aloneOf = (tokens: number) => Math.floor(alone! * sets(tokens));
    const scoringOf = (layer: number) => windowScoring(layer, own.window);
    const last = (store: number) => readersOf(layout, store).at(-1)!;
    const options: MergeOptions = {
      sinks: sinks!,
      sigma: sigma!,
      mostAlone: Math.floor(alone! * own.budget),
      alone: aloneOf,
      sets,
    };
    return {
      name: "kvmerger",
      retaining: {
        windowRows: own.window,
        most: mostChosen(layout.stores, own),
        retain(tokens) {
          const count = sets(tokens);
          if (count === 0) return null;
          return {
            liveFrom: pagesGivenUp(tokens, own.window),
            tokens: Array.from({ length: layout.stores * kvHeads }, () => count),
          };
        },
        select: (store, context) => {
          const scoring = scoringOf(last(store));
          return [...work.now.scoreSlots(context, scoring), ...work.now.chooseSets(context, scoring, store, options)];
        },
        merging: {
          format: mergedFormat,
          merge: (store, context) => work.now.mergeSets(context, scoringOf(last(store)), store, options),
        },
      },
      /** Layers that share a store and are not the last to read it: their scores are added up. */
      at: (place, layer, context) =>
        place === "afterAttention" && last(layout.reads[layer]!) !== layer
          ? work.now.scoreSlots(context, scoringOf(layer))
          : [],
    };
  },
};

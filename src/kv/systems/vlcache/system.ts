// VL-Cache: at the end of a prompt with pictures, layers share out what is kept by how much the words after the pictures look at.
// Source: Tu et al. (2410.23317); docs/kv.md.
import { Later } from "../../../later.ts";
import { blocksFor } from "../../blocks.ts";
import { lastRows } from "../../plan.ts";
import type { KvSystem, PromptEndSizes, SystemDefinition } from "../../system.ts";
import type { Scoring } from "../pyramid/scoring.ts";
import { NO_GAPS, windowScoring } from "../pyramid/window.ts";
import { type Part, partOf } from "./budgets.ts";

const work = new Later(() => import("./density.ts"));

/** The rows that ask: those behind the last picture, of the last `window`. */
const asking = (end: PromptEndSizes, window: number) => ({
  sequence: end.sequence,
  pages: blocksFor(end.tokens),
  ...NO_GAPS,
  ...lastRows(end, Math.min(window, end.question)),
});

export const vlcache: SystemDefinition = {
  name: "vlcache",
  forPictures: true,
  options: {
    keep: { least: 0.01, most: 1, fraction: true, default: 0.1 },
    window: { least: 1, most: 256, default: 50 },
  },
  load: () => work.load(),
  create({ keep, window }, { layers, kvHeads }, { context }, { stores }): KvSystem {
    const most = Math.max(1, partOf(context, keep!)?.most ?? 0);
    const pagesGivenUp = (tokens: number) => partOf(tokens, keep!)?.pages ?? 0;
    const scoringOf = (layer: number): Scoring => ({
      ...windowScoring(layer, window!),
      looking: ({ promptEnd }) => promptEnd && asking(promptEnd, window!),
      pagesGivenUp,
      scored: ({ promptEnd }) => (promptEnd ? pagesGivenUp(promptEnd.tokens) : 0),
      lasts: true, // until the last layer has run
    });
    const lists = (count: number) => Array.from({ length: stores * kvHeads }, () => count);
    const retention = ({ pages, average, most }: Part) => ({
      liveFrom: pages,
      tokens: lists(average),
      most: lists(most),
    });
    return {
      name: "vlcache",
      retaining: {
        windowRows: window!,
        most: Array.from({ length: stores }, () => most),
        together: true,
        retain(tokens) {
          const part = partOf(tokens, keep!);
          return part && retention(part);
        },
        select: (store, system) => work.now.choose(system, scoringOf(layers - 1), store, keep!),
      },
      at: (place, layer, system) => (place === "afterAttention" ? work.now.gauge(system, scoringOf(layer)) : []),
    };
  },
};

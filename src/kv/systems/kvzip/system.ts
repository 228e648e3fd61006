// KVzip: once a prompt has been read the model repeats it, and each list keeps the share of its tokens that this looked at most,
// for all questions to come. Source: Kim et al. (2505.23416); docs/kv.md.
import { InputError } from "../../../errors.ts";
import { Later } from "../../../later.ts";
import type { Layout } from "../../layout.ts";
import { chunkRowsOf, LEAST_REPEAT_ROWS } from "../../plan.ts";
import type { KvBounds, KvSystem, StepSizes, SystemDefinition } from "../../system.ts";
import type { Scoring } from "../pyramid/scoring.ts";
import { readersOf } from "../swiftkv/layout.ts";
import { chosenTokens, pagesGivenUp, pagesOf } from "./share.ts";

/** Rows of a step that repeats, at most: their scores' sums are kept until all keys have been seen. */
const MOST_ROWS = 256;

/** PyramidKV's: scores are made the same way, from other rows. */
const work = new Later(() => import("../pyramid/scoring.ts"));

export const kvzip: SystemDefinition = {
  name: "kvzip",
  load: () => work.load(),
  options: { keep: { least: 0.05, most: 1, fraction: true, default: 0.4 } },
  create: ({ keep }, { kvHeads }, bounds, layout) => createSystem(keep!, kvHeads, bounds, layout),
};

/** A chunk is longer by a row, as for every system that asks for rows at a prompt's end. */
function rowsOf(bounds: KvBounds): number {
  const chunk = chunkRowsOf(bounds);
  if (chunk > LEAST_REPEAT_ROWS) return Math.min(MOST_ROWS, chunk - 1);
  throw new InputError(
    `chunk: got ${chunk} tokens, want at least ${LEAST_REPEAT_ROWS + 1} with kvzip. Load with a larger chunk.`,
  );
}

/** The rows that repeat, over their part of the prompt and themselves. */
const looking = ({ repeated }: StepSizes): ReturnType<Scoring["looking"]> => {
  if (!repeated) return null;
  const { sequence, rows, rowAt } = repeated;
  return { sequence, first: rowAt, count: rows, ...pagesOf(repeated) };
};

function createSystem(keep: number, kvHeads: number, bounds: KvBounds, layout: Layout): KvSystem {
  const windowRows = rowsOf(bounds);
  const scoringOf = (layer: number): Scoring => ({
    layer,
    windowRows,
    looking,
    pagesGivenUp,
    most: true,
    lasts: true,
    scored: ({ repeated }) => (repeated ? pagesOf(repeated).scored : 0),
    joins: ({ repeated }) => (repeated ? pagesOf(repeated).joins : 0),
  });
  const count = (tokens: number) => chosenTokens(tokens, keep) ?? 0;
  return {
    name: "kvzip",
    retaining: {
      windowRows,
      repeats: true,
      most: Array.from({ length: layout.stores }, () => Math.ceil(keep * bounds.context)),
      retain(tokens) {
        const chosen = chosenTokens(tokens, keep);
        if (chosen === null) return null;
        const lists = Array.from({ length: layout.stores * kvHeads }, () => chosen);
        return { liveFrom: pagesGivenUp(tokens), tokens: lists };
      },
      select: (store, context) =>
        work.now.chooseSlots(context, scoringOf(readersOf(layout, store).at(-1)!), {
          store,
          count: ({ tokens }) => count(tokens),
          radius: 0,
        }),
    },
    at: (place, layer, context) => (place === "afterAttention" ? work.now.scoreSlots(context, scoringOf(layer)) : []),
  };
}

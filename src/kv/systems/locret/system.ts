// Locret: a trained head scores each token once, and lists give up all but the best while the prompt is still being read, so that a
// prompt may be longer than the cache. Source: Huang et al. (2410.01805); docs/kv.md.
import { InputError } from "../../../errors.ts";
import { Later } from "../../../later.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { Layout } from "../../layout.ts";
import { chunkRowsOf } from "../../plan.ts";
import type { KvModel } from "../../../api.ts";
import type { KvBounds, KvSystem, OptionRule, SystemDefinition } from "../../system.ts";
import { HIDDEN, weightCount, weightNames } from "./weights.ts";

export interface LocretOptions {
  /** Tokens that a list keeps of those before the local ones. */
  budget: number;
  /** The latest tokens that stay until the next chunk, whatever their score; not after the last one. */
  stabilisers: number;
  /** Tokens at a prompt's end that stay as they are, at least. */
  local: number;
}

const work = new Later(() => import("./chunks.ts"));

export const locret: SystemDefinition = {
  name: "locret",
  load: () => work.load(),
  options: {
    budget: { least: BLOCK_TOKENS, most: 1_048_576, default: 512 },
    stabilisers: { least: 0, most: 65_536, default: 64 },
    local: { least: 1, most: 4096, default: 64 },
  } satisfies Record<string, OptionRule>,
  create: ({ budget, stabilisers, local }, model, bounds, layout) =>
    createSystem({ budget: budget!, stabilisers: stabilisers!, local: local! }, model, bounds, layout),
};

/** Pages of a prompt that tokens are given up of: all before the page of the first local token. */
const pagesGivenUp = (tokens: number, { local }: LocretOptions): number =>
  Math.max(0, Math.floor((tokens - local) / BLOCK_TOKENS));

function checkStabilisers({ budget, stabilisers }: LocretOptions): void {
  if (stabilisers <= budget) return;
  throw new InputError(
    `kv: locret:stabilisers; got ${stabilisers}, want at most ${budget}, the budget that they are part of. Take a larger budget or fewer stabilisers.`,
  );
}

/** Of a price, which knows no chunk: what engines take by default. */
const USUAL_CHUNK = 512;

/** Whole pages of what a step reads of a prompt. */
function chunkTokensOf(bounds: KvBounds): number {
  const rows = chunkRowsOf(bounds);
  if (rows === Infinity) return USUAL_CHUNK;
  if (rows >= BLOCK_TOKENS) return rows - (rows % BLOCK_TOKENS);
  throw new InputError(
    `chunk: got ${rows} tokens, want at least ${BLOCK_TOKENS} with locret. Load with a larger chunk.`,
  );
}

function createSystem(options: LocretOptions, model: KvModel, bounds: KvBounds, layout: Layout): KvSystem {
  checkStabilisers(options);
  const { budget, stabilisers } = options;
  const chunkTokens = chunkTokensOf(bounds);
  const lists = Array.from({ length: layout.stores * model.kvHeads }, () => budget);
  let weights: GPUBuffer;
  const shape = { budget, stabilisers, chunkTokens };
  return {
    name: "locret",
    extraWeightBytes: 4 * weightCount(model) * model.layers,
    weights(tensors) {
      const { names, lengths } = weightNames(model);
      weights = tensors.vector(names, lengths);
    },
    retaining: {
      windowRows: 0,
      most: Array.from({ length: layout.stores }, () => budget),
      chunkTokens,
      retain(tokens) {
        const liveFrom = pagesGivenUp(tokens, options);
        return liveFrom * BLOCK_TOKENS <= budget ? null : { liveFrom, tokens: lists };
      },
      select: (store, context) => [work.now.chooseTokens(context, shape, store)],
    },
    /** The layer that fills a store has the queries that its heads were trained with. */
    at(place, layer, context) {
      const store = layout.reads[layer]!;
      if (place !== "afterHeads" || layout.owners[store] !== layer) return [];
      return work.now.scoreTokens(context, shape, { layer, store, weights, hidden: HIDDEN });
    },
  };
}

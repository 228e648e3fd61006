// The float64 reference of PyramidKV and SnapKV: which tokens a prompt's last queries look at, and what is left of it.
import { chosenTokens, pagesGivenUp, type PyramidOptions } from "../../../src/kv/systems/pyramid/budgets.ts";
import { attendOne, createCache, forward, type HeadView, logSoftmax, type Model } from "../../reference.ts";
import { type GreedyReply, greedyReply } from "../greedy.ts";

const POOL_RADIUS = 3;

/** Slots that stay, by the layer that owns the store and KV head. */
type Kept = Map<string, number[]>;

interface Choice {
  kept: Kept;
  /**
   * Least distance, in logarithms, between the last score that stays and the first that goes, where they are of different
   * tokens: errors of scores below it change no choice.
   */
  margin: number;
}

export const listOf = ({ owner, group }: Pick<HeadView, "owner" | "group">): string => `${owner}.${group}`;

/** Softmax weights of a query over the keys that it sees. */
function weightsOf({ query, keys }: HeadView): Float64Array {
  const scores = keys.map((key) => key.reduce((sum, value, e) => sum + value * query[e]!, 0) / Math.sqrt(query.length));
  return logSoftmax(Float64Array.from(scores)).map(Math.exp);
}

/** [slots] what the window's queries give to each slot, summed over rows, layers and heads of a list. */
export function scoreLists(
  model: Model,
  prompt: readonly number[],
  slots: number,
  window: number,
): Map<string, Float64Array> {
  const scores = new Map<string, Float64Array>();
  const attendHead = (head: HeadView) => {
    if (head.position >= prompt.length - window) {
      const sums = scores.get(listOf(head)) ?? new Float64Array(slots);
      scores.set(listOf(head), sums);
      const weights = weightsOf(head);
      for (let s = 0; s < slots; s++) sums[s]! += weights[s]!;
    }
    return attendOne(head.query, head.keys, head.values);
  };
  forward(model, prompt, createCache(model), { rows: "all", attendHead });
  return scores;
}

const pooled = (scores: Float64Array): Float64Array =>
  scores.map((_, s) => Math.max(...scores.subarray(Math.max(0, s - POOL_RADIUS), s + POOL_RADIUS + 1)));

/** What each list keeps of the pages given up; null: the prompt stays whole. */
export function choose(model: Model, prompt: readonly number[], options: PyramidOptions): Choice | null {
  const { ownLayers, groupSize, L } = model.shape;
  const storeOf = (owner: number) => (owner < ownLayers ? owner : ownLayers + (owner - ownLayers) / groupSize);
  const stores = ownLayers + (L - ownLayers) / groupSize;
  const counts = chosenTokens(prompt.length, stores, options);
  if (!counts) return null;
  const slots = pagesGivenUp(prompt.length, options.window) * 32;
  const kept: Kept = new Map();
  let margin = Infinity;
  for (const [list, scores] of scoreLists(model, prompt, slots, options.window)) {
    const values = pooled(scores);
    const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
    const count = counts[storeOf(Number(list.split(".")[0]))]!;
    const [last, first] = [values[order[count - 1]!], values[order[count]!]];
    if (last !== undefined && first !== undefined && last !== first) margin = Math.min(margin, Math.log(last / first));
    kept.set(
      list,
      order.slice(0, count).sort((a, b) => a - b),
    );
  }
  return { kept, margin };
}

/** The reply of the reference where queries after the prompt see what is left of it. */
export function pyramidReply(
  model: Model,
  prompt: readonly number[],
  count: number,
  options: PyramidOptions,
): GreedyReply & { margin: number } {
  const choice = choose(model, prompt, options);
  const slots = pagesGivenUp(prompt.length, options.window) * 32;
  const attendHead = (head: HeadView) => {
    const { query, keys, values, position } = head;
    if (!choice || position < prompt.length) return attendOne(query, keys, values);
    const kept = choice.kept.get(listOf(head))!;
    const some = (rows: readonly Float64Array[]) => [...kept.map((slot) => rows[slot]!), ...rows.slice(slots)];
    return attendOne(query, some(keys), some(values));
  };
  return { ...greedyReply(model, prompt, count, { attendHead }), margin: choice?.margin ?? Infinity };
}

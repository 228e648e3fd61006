// The float64 reference of KVMerger: which runs of a prompt's tokens become one, and what is left of the prompt.
import { chosenTokens, pagesGivenUp } from "../../../src/kv/systems/pyramid/budgets.ts";
import { attendBiased, cutAt, mergedSet, setsOf } from "../../kernels/merged_sets.ts";
import { attendOne, createCache, forward, type HeadView, type Model } from "../../reference.ts";
import { type GreedyReply, greedyReply } from "../greedy.ts";
import { listOf, scoreLists } from "../pyramid/rule.ts";

export interface MergeRule {
  budget: number;
  window: number;
  sinks: number;
  alone: number;
  sigma: number;
}

interface Merged {
  keys: Float64Array[];
  values: Float64Array[];
  biases: number[];
}

interface Choice {
  lists: Map<string, Merged>;
  /** Least distance between numbers whose order decides who stays alone, where sets end, and who is a pivot. */
  margin: number;
}

/** The `count` largest of these numbers, of equal ones the earlier; ascending. And how clear that is, where it is not a tie. */
function topSlots(numbers: ArrayLike<number>, count: number): { slots: number[]; margin: number } {
  const order = Array.from(numbers, (_, s) => s).sort((a, b) => numbers[b]! - numbers[a]! || a - b);
  const [last, next] = [numbers[order[count - 1]!], numbers[order[count]!]];
  const margin = last === undefined || next === undefined || last === next ? Infinity : last - next;
  return { slots: order.slice(0, count).sort((a, b) => a - b), margin };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** What becomes of each list's pages that are given up; null: the prompt stays whole. */
export function merge(model: Model, prompt: readonly number[], rule: MergeRule): Choice | null {
  const { ownLayers, groupSize, L } = model.shape;
  const stores = ownLayers + (L - ownLayers) / groupSize;
  const count = chosenTokens(prompt.length, stores, { ...rule, beta: 1 })?.[0];
  if (count === undefined) return null;
  const slots = pagesGivenUp(prompt.length, rule.window) * 32;
  const rows = new Map<string, HeadView>();
  const attendHead = (head: HeadView) => {
    rows.set(listOf(head), head); // that of the last query has all
    return attendOne(head.query, head.keys, head.values);
  };
  forward(model, prompt, createCache(model), { rows: "all", attendHead });
  const lists = new Map<string, Merged>();
  let margin = Infinity;
  for (const [list, scores] of scoreLists(model, prompt, slots, rule.window)) {
    const { keys, values } = rows.get(list)!;
    const heavy = topSlots(scores, Math.floor(rule.alone * count));
    const alone = new Set([...range(rule.sinks), ...heavy.slots]);
    const starts = topSlots(range(slots).map((s) => cutAt(keys, s, alone)), count); // prettier-ignore
    margin = Math.min(margin, heavy.margin, starts.margin);
    const sets = setsOf(starts.slots, slots);
    const merged = sets.map((set) => mergedSet({ keys, values }, set, { scores, spread: 1 / (2 * rule.sigma ** 2) }));
    for (const [begin, end] of sets) margin = Math.min(margin, topSlots(scores.subarray(begin, end), 1).margin);
    lists.set(list, {
      keys: merged.map(({ key }) => key),
      values: merged.map(({ value }) => value),
      biases: merged.map(({ bias }) => bias),
    });
  }
  return { lists, margin };
}

/** The reply of the reference where queries after the prompt see what has become of it. */
export function mergedReply(
  model: Model,
  prompt: readonly number[],
  count: number,
  rule: MergeRule,
): GreedyReply & { margin: number } {
  const choice = merge(model, prompt, rule);
  const slots = pagesGivenUp(prompt.length, rule.window) * 32;
  const attendHead = (head: HeadView) => {
    const { query, keys, values, position } = head;
    if (!choice || position < prompt.length) return attendOne(query, keys, values);
    const merged = choice.lists.get(listOf(head))!;
    const live = [keys.slice(slots), values.slice(slots)] as const;
    const biases = [...merged.biases, ...live[0].map(() => 0)];
    return attendBiased(query, [...merged.keys, ...live[0]], [...merged.values, ...live[1]], biases);
  };
  return { ...greedyReply(model, prompt, count, { attendHead }), margin: choice?.margin ?? Infinity };
}

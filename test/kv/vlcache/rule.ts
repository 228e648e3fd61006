// The float64 reference of VL-Cache: how much each layer's last queries look at, what each list keeps of it.
import { budgets, partOf } from "../../../src/kv/systems/vlcache/budgets.ts";
import { attendOne, createCache, forward, type HeadView, logSoftmax, type Model } from "../../reference.ts";
import { type GreedyReply, greedyReply } from "../greedy.ts";

interface Looked {
  /** [slots] of each list, by store and KV head: weights of the asking queries. */
  scores: Map<string, Float64Array>;
  /** [L] weights that count, of all. */
  density: number[];
  /** Least distance, in logarithms, of a weight from the one that would just count. */
  clear: number;
}

const listOf = ({ owner, group }: Pick<HeadView, "owner" | "group">): string => `${owner}.${group}`;

function look(model: Model, prompt: readonly number[], window: number): Looked {
  const counts = Array.from({ length: model.shape.L }, () => [0, 0]);
  const looked: Looked = { scores: new Map(), density: [], clear: Infinity };
  const attendHead = (head: HeadView) => {
    if (head.position >= prompt.length - window) count(head);
    return attendOne(head.query, head.keys, head.values);
  };
  const count = (head: HeadView) => {
    const products = head.keys.map((key) => key.reduce((sum, value, e) => sum + value * head.query[e]!, 0));
    const logs = logSoftmax(Float64Array.from(products, (product) => product / Math.sqrt(head.query.length)));
    const sums = looked.scores.get(listOf(head)) ?? new Float64Array(prompt.length);
    looked.scores.set(listOf(head), sums);
    const least = Math.max(...logs) + Math.log(0.01);
    for (const [s, log] of logs.entries()) {
      sums[s]! += Math.exp(log);
      looked.clear = Math.min(looked.clear, Math.abs(log - least));
      counts[head.owner]![0]! += Number(log >= least);
      counts[head.owner]![1]!++;
    }
  };
  forward(model, prompt, createCache(model), { rows: "all", attendHead });
  looked.density = counts.map(([counted, all]) => counted! / all!);
  return looked;
}

/** The reply where queries after the prompt see what is left of it. `margin`: as far as errors of weights change nothing. */
export function vlReply(
  model: Model,
  prompt: readonly number[],
  count: number,
  { keep, window }: { keep: number; window: number },
): GreedyReply & { margin: number } {
  const part = partOf(prompt.length, keep)!;
  const { scores, density, clear } = look(model, prompt, window);
  const counts = budgets(density, part);
  const slots = 32 * part.pages;
  let margin = clear;
  const kept = new Map<string, number[]>();
  for (const [list, values] of scores) {
    const order = [...Array(slots).keys()].sort((a, b) => values[b]! - values[a]! || a - b);
    const chosen = counts[Number(list.split(".")[0])]!;
    if (chosen < slots) margin = Math.min(margin, Math.log(values[order[chosen - 1]!]! / values[order[chosen]!]!));
    kept.set(
      list,
      order.slice(0, chosen).sort((a, b) => a - b),
    );
  }
  const attendHead = (head: HeadView) => {
    const { query, keys, values, position } = head;
    if (position < prompt.length) return attendOne(query, keys, values);
    const some = (rows: readonly Float64Array[]) => [
      ...kept.get(listOf(head))!.map((slot) => rows[slot]!),
      ...rows.slice(slots),
    ];
    return attendOne(query, some(keys), some(values));
  };
  return { ...greedyReply(model, prompt, count, { attendHead }), margin };
}

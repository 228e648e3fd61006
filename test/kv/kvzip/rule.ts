// The float64 reference of KVzip: which tokens of a prompt are looked at while it is repeated, and what is left of it.
import { type Part, partFrom } from "../../../src/engine/repeat.ts";
import { chosenTokens, pagesGivenUp } from "../../../src/kv/systems/kvzip/share.ts";
import { attendOne, type Cache, createCache, forward, type HeadView, logSoftmax, type Model } from "../../reference.ts";
import { type GreedyReply, greedyReply } from "../greedy.ts";

export interface ZipOptions {
  keep: number;
  /** Rows of a step that repeats. */
  rows: number;
  opening: readonly number[];
}

/** Slots that stay, by the layer that owns the store and KV head. */
type Kept = Map<string, number[]>;

interface Choice {
  kept: Kept;
  /** Pages given up. */
  pages: number;
  /** Least distance, in logarithms, between the last score that stays and the first that goes: smaller errors change no choice. */
  margin: number;
}

const listOf = ({ owner, group }: Pick<HeadView, "owner" | "group">): string => `${owner}.${group}`;

/** Softmax weights of a query over the keys at these places, as far as it sees them. */
function weightsOf({ query, keys }: HeadView, places: readonly number[]): [place: number, weight: number][] {
  const seen = places.filter((place) => place < keys.length);
  const score = (key: Float64Array) => key.reduce((sum, value, e) => sum + value * query[e]!, 0);
  const scores = seen.map((place) => score(keys[place]!) / Math.sqrt(query.length));
  return [...logSoftmax(Float64Array.from(scores))].map((log, i) => [seen[i]!, Math.exp(log)]);
}

/** The first page, those that the part lies in, and all behind the prompt's last whole page. */
function placesOf({ from, end }: Part, prompt: number, rows: number): number[] {
  const page = (place: number) => Math.floor(place / 32);
  const counts = (place: number) =>
    page(place) === 0 || (page(place) >= page(from) && page(place) <= page(end - 1)) || page(place) >= page(prompt);
  return Array.from({ length: prompt + rows }, (_, place) => place).filter(counts);
}

/** What follows the first `length` tokens is forgotten. */
function cut(cache: Cache, length: number): void {
  cache.length = length;
  for (const rows of [...cache.keys, ...cache.values]) rows.length = Math.min(rows.length, length);
}

/** [slots] of each list, the largest weight that any row, layer and head gave a slot while its part was repeated. */
function scoreLists(model: Model, prompt: readonly number[], slots: number, { rows, opening }: ZipOptions) {
  const scores = new Map<string, Float64Array>();
  let places: number[] = [];
  const attendHead = (head: HeadView) => {
    const most = scores.get(listOf(head)) ?? new Float64Array(slots);
    scores.set(listOf(head), most);
    for (const [place, weight] of weightsOf(head, places))
      if (place < slots) most[place] = Math.max(most[place]!, weight);
    return attendOne(head.query, head.keys, head.values);
  };
  const cache = createCache(model);
  forward(model, prompt, cache, { rows: "last" });
  for (let done = 0; done < prompt.length;) {
    const part = partFrom(done, { prompt, opening, rows });
    places = placesOf(part, prompt.length, part.tokens.length);
    forward(model, part.tokens, cache, { rows: "all", attendHead });
    cut(cache, prompt.length);
    done = part.end;
  }
  return scores;
}

/** What each list keeps of the pages given up; null: the prompt stays whole. */
export function choose(model: Model, prompt: readonly number[], options: ZipOptions): Choice | null {
  const count = chosenTokens(prompt.length, options.keep);
  if (count === null) return null;
  const pages = pagesGivenUp(prompt.length);
  const kept: Kept = new Map();
  let margin = Infinity;
  for (const [list, scores] of scoreLists(model, prompt, pages * 32, options)) {
    const order = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);
    margin = Math.min(margin, Math.log(scores[order[count - 1]!]! / scores[order[count]!]!));
    kept.set(
      list,
      order.slice(0, count).sort((a, b) => a - b),
    );
  }
  return { kept, pages, margin };
}

/** The reply to a text whose first `chosenOf` tokens were a prompt of which a part was chosen: rows after them see that part. */
export function zipReply(
  model: Model,
  text: readonly number[],
  count: number,
  choice: Choice | null,
  chosenOf = text.length,
): GreedyReply {
  const attendHead = (head: HeadView) => {
    const { query, keys, values, position } = head;
    if (!choice || position < chosenOf) return attendOne(query, keys, values);
    const slots = choice.kept.get(listOf(head))!;
    const some = (rows: readonly Float64Array[]) => [
      ...slots.map((slot) => rows[slot]!),
      ...rows.slice(choice.pages * 32),
    ];
    return attendOne(query, some(keys), some(values));
  };
  return greedyReply(model, text, count, { attendHead });
}

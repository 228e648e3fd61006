// The float64 reference of Locret: heads that score a token once, and what is left after each chunk of a prompt.
import { HIDDEN } from "../../../src/kv/systems/locret/weights.ts";
import { floats, random } from "../../kernels/spec.ts";
import {
  attendOne,
  createCache,
  forward,
  type ForwardOptions,
  type HeadView,
  logSoftmax,
  type Model,
  rotate,
  type Tensors,
} from "../../reference.ts";
import type { GreedyReply } from "../greedy.ts";

export interface LocretRule {
  budget: number;
  stabilisers: number;
  local: number;
  /** Tokens of a chunk, whole pages. */
  chunk: number;
}

/** A score, and which token has it. */
export interface Scored {
  score: number;
  position: number;
}

/** The best `count`: the higher score first, of equal ones the earlier token. Ascending by position. */
export const best = (tokens: readonly Scored[], count: number): Scored[] =>
  [...tokens]
    .sort((a, b) => b.score - a.score || a.position - b.position)
    .slice(0, count)
    .sort((a, b) => a.position - b.position);

/** What stays of tokens with these scores, read chunk by chunk. */
export function streamed(
  scores: ArrayLike<number>,
  { budget, stabilisers, chunk }: Omit<LocretRule, "local">,
): Scored[] {
  let kept: Scored[] = [];
  for (let start = 0; start < scores.length; start += chunk) {
    const end = Math.min(start + chunk, scores.length);
    for (let position = start; position < end; position++) kept.push({ score: scores[position]!, position });
    kept = staying(kept, { budget, stabilisers: end < scores.length ? stabilisers : 0 });
  }
  return kept;
}

/** The last `stabilisers` count as best. */
function staying(
  tokens: readonly Scored[],
  { budget, stabilisers }: Pick<LocretRule, "budget" | "stabilisers">,
): Scored[] {
  const safe = tokens.length - stabilisers;
  const raised = tokens.map(({ score, position }, i) => ({ score: i >= safe ? Infinity : score, position }));
  const stay = new Set(best(raised, budget).map(({ position }) => position));
  return tokens.filter(({ position }) => stay.has(position));
}

/** Weights of all layers' heads, for a toy model. */
export function addHeads(tensors: Map<string, { shape: number[]; data: Float32Array }>, model: Model): void {
  const { L, H, G, E } = model.shape;
  const inputs = (H + 2 * G) * E;
  for (let layer = 0; layer < L; layer++) {
    const uniform = random(900 + layer);
    const draw = (count: number, fanIn: number) => floats(uniform, count, 3 / Math.sqrt(fanIn));
    tensors.set(`locret.layers.${layer}.w1`, { shape: [inputs * HIDDEN], data: draw(inputs * HIDDEN, inputs) });
    tensors.set(`locret.layers.${layer}.w2`, { shape: [HIDDEN * G], data: draw(HIDDEN * G, HIDDEN) });
  }
}

const silu = (x: number): number => x / (1 + Math.exp(-x));

/** [G] the scores of a token, of [q; k; v] before their rotation. */
function scoresOf(tensors: Tensors, layer: number, x: readonly number[], G: number): number[] {
  const [w1, w2] = ["w1", "w2"].map((name) => tensors.get(`locret.layers.${layer}.${name}`)!.data);
  const hidden = Array.from({ length: HIDDEN }, (_, j) =>
    silu(x.reduce((sum, value, n) => sum + value * w1![n * HIDDEN + j]!, 0)),
  );
  return Array.from({ length: G }, (_, g) => hidden.reduce((sum, value, j) => sum + value * w2![j * G + g]!, 0));
}

/** Where a prompt's last part begins, of which nothing goes; 0: nothing goes of the prompt. */
export function chunkedUntil(tokens: number, { budget, local }: LocretRule): number {
  const until = 32 * Math.max(0, Math.floor((tokens - local) / 32));
  return until <= budget ? 0 : until;
}

export interface LocretReply extends GreedyReply {
  /** Least distance of the last score that stays and the first one that goes, over the largest score: errors below it change nothing. */
  margin: number;
}

/** The reply where queries after a chunk see what is left of the tokens before it. */
export function locretReply(model: Model, prompt: readonly number[], count: number, rule: LocretRule): LocretReply {
  const { shape, tensors } = model;
  const { G } = shape;
  const until = chunkedUntil(prompt.length, rule);
  const cache = createCache(model);
  const kept = new Map<string, Scored[]>();
  let [begin, margin, most] = [0, Infinity, 0];
  const keptOf = (layer: number, group: number) => kept.get(`${layer}.${group}`) ?? [];
  const attendHead = ({ query, keys, values, owner, group }: HeadView) => {
    const seen = keptOf(owner, group).map(({ position }) => position);
    const some = (rows: readonly Float64Array[]) => [...seen.map((p) => rows[p]!), ...rows.slice(begin)];
    return attendOne(query, some(keys), some(values));
  };
  const queries = new Map<number, readonly ArrayLike<number>[]>();
  const observe: ForwardOptions["observe"] = (name, layer, rows) => {
    if (name === "query") queries.set(layer, rows);
  };
  const evict = (end: number) => {
    for (let layer = 0; layer < shape.L; layer++) {
      const { frequencies } = shape.turns[layer]!;
      const back = (x: ArrayLike<number>, p: number) => rotate(Float64Array.from(x), -p, frequencies, shape.E);
      const fresh = queries.get(layer)!.map((query, i) => {
        const [q, k] = [back(query, begin + i), back(cache.keys[layer]![begin + i]!, begin + i)];
        return scoresOf(tensors, layer, [...q, ...k, ...cache.values[layer]![begin + i]!], G);
      });
      for (let group = 0; group < G; group++) {
        const all = [
          ...keptOf(layer, group),
          ...fresh.map((each, i) => ({ score: each[group]!, position: begin + i })),
        ];
        const stay = staying(all, { budget: rule.budget, stabilisers: end < until ? rule.stabilisers : 0 });
        const here = new Set(stay);
        const gone = all.filter((each) => !here.has(each)).map(({ score }) => score);
        const free = stay.filter(({ position }) => end === until || position < end - rule.stabilisers);
        if (gone.length > 0 && free.length > 0)
          margin = Math.min(margin, Math.min(...free.map(({ score }) => score)) - Math.max(...gone));
        most = Math.max(most, ...all.map(({ score }) => Math.abs(score)));
        kept.set(`${layer}.${group}`, stay);
      }
    }
  };
  let logits: Float64Array = new Float64Array();
  while (cache.length < prompt.length) {
    const end = begin < until ? Math.min(begin + rule.chunk, until) : prompt.length;
    logits = forward(model, prompt.slice(begin, end), cache, { rows: "last", attendHead, observe }) as Float64Array;
    if (end <= until) {
      evict(end);
      begin = end;
    }
  }
  const [tokens, logprobs]: [number[], number[]] = [[], []];
  for (let i = 0; i < count; i++) {
    const token = logits.indexOf(Math.max(...logits));
    tokens.push(token);
    logprobs.push(logSoftmax(logits)[token]!);
    logits = forward(model, [token], cache, { rows: "last", attendHead }) as Float64Array;
  }
  return { tokens, logprobs, margin: margin / (most || 1) };
}

// The float64 reference of ThinK: which channels of a list's keys a prompt's last queries ask for, and attention without the others.
import { pagesGivenUp, type PyramidOptions } from "../../../src/kv/systems/pyramid/budgets.ts";
import { topChannels } from "../../kernels/kv/think_channels.ts";
import { attendOne, createCache, forward, type HeadView, type Model } from "../../reference.ts";
import { type GreedyReply, greedyReply } from "../greedy.ts";
import { choose as chooseTokens } from "../pyramid/rule.ts";
import { coder, keyPage, type KiviRule, valuePage } from "../kivi/rule.ts";

export interface ThinkRule {
  keep: number;
  recent: number;
  chunk: number;
  /** What older tokens are coded in besides. */
  kivi?: Pick<KiviRule, "kbits" | "vbits">;
  /** Which tokens of the prompt stay. */
  pyramid?: PyramidOptions;
}

const WINDOW = 32;

interface Choice {
  /** Channels that stay, by list. */
  channels: Map<string, number[]>;
  /** Least distance, in logarithms, between the last score that stays and the first that goes. */
  margin: number;
}

const listOf = ({ owner, group }: Pick<HeadView, "owner" | "group">): string => `${owner}.${group}`;

const addSquares = (sums: Float64Array, row: Float64Array): void => row.forEach((x, e) => (sums[e]! += x * x));

/** Channels that stay of heads of this width, as the engine pads them to a multiple of 8. */
const countOf = (width: number, keep: number): number => {
  const padded = 8 * Math.ceil(width / 8);
  return Math.min(padded, 4 * Math.ceil((padded - Math.floor((1 - keep) * padded + 1e-9)) / 4));
};

export function choose(model: Model, prompt: readonly number[], keep: number): Choice {
  const queries = new Map<string, Float64Array>();
  const keys = new Map<string, Float64Array[]>();
  const attendHead = (head: HeadView) => {
    const list = listOf(head);
    if (!queries.has(list)) queries.set(list, new Float64Array(head.query.length));
    if (head.position >= prompt.length - WINDOW) addSquares(queries.get(list)!, head.query);
    keys.set(list, head.keys); // those of the last query are all
    return attendOne(head.query, head.keys, head.values);
  };
  forward(model, prompt, createCache(model), { rows: "all", attendHead });
  let margin = Infinity;
  const channels = new Map<string, number[]>();
  for (const [list, asked] of queries) {
    const sums = new Float64Array(asked.length);
    for (const key of keys.get(list)!) addSquares(sums, key);
    const scores = asked.map((x, e) => x * sums[e]!);
    const count = Math.min(asked.length, countOf(asked.length, keep));
    channels.set(list, topChannels(scores, count));
    const order = [...scores].sort((a, b) => b - a);
    if (count < order.length) margin = Math.min(margin, Math.log(order[count - 1]! / order[count]!));
  }
  return { channels, margin };
}

/** Slots sealed before a step that knows `known` tokens: none before the prompt's end. */
const sealedOf = (known: number, prompt: number, recent: number): number =>
  known < prompt ? 0 : Math.max(0, Math.floor((known - recent) / 32) * 32);

const same = (page: readonly Float64Array[]): Float64Array[] => [...page];

export function thinkReply(
  model: Model,
  prompt: readonly number[],
  count: number,
  { keep, recent, chunk, kivi, pyramid }: ThinkRule,
): GreedyReply & { margin: number } {
  const { channels, margin } = choose(model, prompt, keep);
  const tokens = pyramid ? chooseTokens(model, prompt, pyramid) : null;
  const gone = pyramid && tokens ? 32 * pagesGivenUp(prompt.length, pyramid.window) : 0;
  const rule = kivi && { ...kivi, rotate: false, recent, chunk };
  const keysOf = coder(rule ? (page) => keyPage(page, rule) : same);
  const valuesOf = coder(rule ? (page) => valuePage(page, rule) : same);
  let sealed = 0;
  const attendHead = (head: HeadView) => {
    const list = listOf(head);
    const stays = new Set(channels.get(list));
    const narrow = (key: Float64Array, slot: number) =>
      slot < Math.max(sealed, gone) ? key.map((x, e) => (stays.has(e) ? x : 0)) : key;
    if (head.position < prompt.length)
      return attendOne(head.query, head.keys.slice(head.begin), head.values.slice(head.begin));
    const kept = tokens?.kept.get(list) ?? [];
    const some = (rows: readonly Float64Array[]) => [
      ...kept.map((at) => rows[at]!),
      ...rows.slice(Math.max(gone, head.begin)),
    ];
    const keys = keysOf(list, head.keys, sealed).map(narrow);
    return attendOne(head.query, some(keys), some(valuesOf(list, head.values, sealed)));
  };
  const onStep = (known: number) => (sealed = sealedOf(known, prompt.length, recent));
  const reply = greedyReply(model, prompt, count, { attendHead, onStep, chunk });
  return { ...reply, margin: Math.min(margin, tokens?.margin ?? Infinity) };
}

// KIVI in float64: what codes of few bits make of keys and values.
import { attendOne, type HeadView, type Model } from "../../reference.ts";
import { toEven } from "../../kernels/attn_case.ts";
import { hadamardOf } from "../../kernels/kv/hadamard_query.ts";
import { halfBits, halfOf } from "../../kernels/matrix.ts";
import { type GreedyReply, greedyReply } from "../greedy.ts";

export interface KiviRule {
  kbits: number;
  vbits: number;
  rotate: boolean;
  recent: number;
  chunk: number;
}

const half = (value: number): number => halfOf(halfBits(value));

/** The numbers of a group as codes of `bits` bits give them back: scale and minimum in f16. */
function coded(group: readonly number[], bits: number): number[] {
  const [least, most, top] = [Math.min(...group), Math.max(...group), 2 ** bits - 1];
  const [scale, minimum] = [half((most - least) / top), half(least)];
  return group.map((x) => minimum + scale * Math.max(0, Math.min(top, toEven((x - minimum) / (scale || 1)))));
}

const turn = (rows: readonly Float64Array[], rotate: boolean): Float64Array[] =>
  rows.map((row) => hadamardOf(row, rotate ? row.length & -row.length : 1));

/** 32 keys, in groups by channel. */
export function keyPage(page: readonly Float64Array[], { kbits, rotate }: KiviRule): Float64Array[] {
  const turned = turn(page, rotate);
  const channels = Array.from(turned[0]!, (_, e) => coded(turned.map((key) => key[e]!), kbits)); // prettier-ignore
  const rows = page.map((_, slot) => Float64Array.from(channels, (channel) => channel[slot]!));
  return turn(rows, rotate);
}

/** 32 values, in groups of up to 32 channels each. A head that is padded has zeros up to the next multiple of 8. */
export function valuePage(page: readonly Float64Array[], { vbits, rotate }: KiviRule): Float64Array[] {
  const { length } = page[0]!;
  const width = 8 * Math.ceil(length / 8);
  const group = [32, 16, 8].find((size) => width % size === 0)!;
  const rows = turn(page, rotate).map((row) => {
    const padded = [...row, ...Array.from({ length: width - length }, () => 0)];
    const groups = Array.from({ length: width / group }, (_, g) => padded.slice(g * group, (g + 1) * group));
    return Float64Array.from(groups.flatMap((each) => coded(each, vbits))).subarray(0, length);
  });
  return turn(rows, rotate);
}

export type Page = readonly Float64Array[];

/** Rows of a list with their first `sealed` ones as codes give them back. Pages do not change: each is coded once. */
export function coder(
  of: (page: Page) => Float64Array[],
): (list: string, rows: Page, sealed: number) => Float64Array[] {
  const known = new Map<string, Float64Array[]>();
  const page = (list: string, rows: Page, i: number): Float64Array[] => {
    const key = `${list} ${i}`;
    if (!known.has(key)) known.set(key, of(rows.slice(32 * i, 32 * i + 32)));
    return known.get(key)!;
  };
  return (list, rows, sealed) => [
    ...Array.from({ length: sealed / 32 }, (_, i) => page(list, rows, i)).flat(),
    ...rows.slice(sealed),
  ];
}

/** The reply of the reference where whole pages of tokens older than `recent` are read through their codes. */
export function kiviReply(model: Model, prompt: readonly number[], count: number, rule: KiviRule): GreedyReply {
  let sealed = 0;
  const keysOf = coder((page) => keyPage(page, rule));
  const valuesOf = coder((page) => valuePage(page, rule));
  const attendHead = ({ query, keys, values, begin, owner, group }: HeadView) => {
    const list = `${owner}/${group}`;
    return attendOne(query, keysOf(list, keys, sealed).slice(begin), valuesOf(list, values, sealed).slice(begin));
  };
  return greedyReply(model, prompt, count, {
    attendHead,
    onStep: (known) => (sealed = Math.max(0, Math.floor((known - rule.recent) / 32) * 32)),
    chunk: rule.chunk,
  });
}

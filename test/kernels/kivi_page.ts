// What a KIVI page holds, read word by word: independent of the shaders that write and read it.
import { halfOf } from "./matrix.ts";

/** Head width, channels of a key that stay (all, unless given), bits of codes, channels that are mixed (1: none). */
export interface KiviShape {
  E: number;
  KEYS?: number;
  K_BITS: number;
  V_BITS: number;
  BLOCK: number;
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** First words of the parts of a page: K codes at 0, then these. `group`: channels of a value that share a pair. */
export function wordsOfPage({ E, KEYS = E, K_BITS, V_BITS }: KiviShape) {
  const group = divisor(E, 32);
  const keyPairs = 32 * Math.ceil((KEYS * K_BITS) / 32);
  const values = keyPairs + KEYS;
  const valuePairs = values + E * V_BITS;
  const channels = valuePairs + 32 * (E / group);
  const end = 4 * Math.ceil((channels + (KEYS < E ? KEYS / 4 : 0)) / 4);
  return { group, keyPairs, values, valuePairs, channels, end };
}

/** The code of channel e of a slot. */
export function readCode(shape: KiviShape, words: Uint32Array, page: number, kind: "k" | "v", slot: number, e: number) {
  const bits = kind === "k" ? shape.K_BITS : shape.V_BITS;
  const inWord = 32 / bits;
  const w = Math.floor(e / inWord);
  const at = kind === "k" ? w * 32 + slot : wordsOfPage(shape).values + slot * (shape.E / inWord) + w;
  return (words[page + at]! >>> ((e % inWord) * bits)) & (2 ** bits - 1);
}

/** Its scale and minimum. */
export function readPair(shape: KiviShape, words: Uint32Array, page: number, kind: "k" | "v", slot: number, e: number) {
  const { keyPairs, valuePairs, group } = wordsOfPage(shape);
  const at = kind === "k" ? keyPairs + e : valuePairs + slot * (shape.E / group) + Math.floor(e / group);
  const word = words[page + at]!;
  return { scale: halfOf(word & 0xffff), minimum: halfOf(word >>> 16) };
}

/** A page, the keys [32][KEYS] and the values [32][E] in it, in the basis of the page. */
export interface KiviPage {
  page: number;
  keys: readonly Float64Array[];
  values: readonly Float64Array[];
}

/** Null if every code is the nearest by its pair and every pair fits its group, else what is wrong first. */
export function judgePage(shape: KiviShape, { page, keys, values }: KiviPage, words: Uint32Array): string | null {
  for (const [kind, heads] of [
    ["k", keys],
    ["v", values],
  ] as const) {
    // Of the f32 computation before: sums of BLOCK numbers, each within a few ulps.
    const loudest = Math.max(...heads.flatMap((head) => Array.from(head, Math.abs)));
    const error =
      2 ** -24 * loudest * (2 + (shape.BLOCK > 1 ? 8 * Math.sqrt(shape.BLOCK) * Math.sqrt(shape.BLOCK) : 0));
    for (let slot = 0; slot < 32; slot++) {
      for (let e = 0; e < heads[slot]!.length; e++) {
        const wrong = judgeCode(shape, { page, kind, heads, error }, words, slot, e);
        if (wrong) return `${kind} of slot ${slot}, channel ${e}: ${wrong}`;
      }
    }
  }
  return null;
}

/** Numbers that share a pair with channel e of a slot. */
function groupOf(shape: KiviShape, kind: "k" | "v", heads: readonly Float64Array[], slot: number, e: number): number[] {
  if (kind === "k") return heads.map((head) => head[e]!);
  const { group } = wordsOfPage(shape);
  const first = Math.floor(e / group) * group;
  return [...heads[slot]!.subarray(first, first + group)];
}

function judgeCode(
  shape: KiviShape,
  { page, kind, heads, error }: { page: number; kind: "k" | "v"; heads: readonly Float64Array[]; error: number },
  words: Uint32Array,
  slot: number,
  e: number,
): string | null {
  const { scale, minimum } = readPair(shape, words, page, kind, slot, e);
  const top = 2 ** (kind === "k" ? shape.K_BITS : shape.V_BITS) - 1;
  const group = groupOf(shape, kind, heads, slot, e);
  const [least, most] = [Math.min(...group), Math.max(...group)];
  const near = (got: number, want: number, slack: number) => Math.abs(got - want) <= slack + 2 ** -11 * Math.abs(want) + 2 ** -25; // prettier-ignore
  if (!near(minimum, least, error)) return `minimum ${minimum}, want ${least}`;
  if (!near(scale, (most - least) / top, (2 * error) / top)) return `scale ${scale}, want ${(most - least) / top}`;
  const value = heads[slot]![e]!;
  const step = scale === 0 ? 1 : scale;
  const unit = (value - minimum) / step;
  const slack = error / step + 2 ** -21 * (Math.abs(value / step) + Math.abs(minimum / step));
  const clamped = (x: number) => Math.max(0, Math.min(top, x));
  const code = readCode(shape, words, page, kind, slot, e);
  if (code < clamped(Math.ceil(unit - 0.5 - slack)) || code > clamped(Math.floor(unit + 0.5 + slack)))
    return `code ${code} for ${value}, want ${unit}`;
  return null;
}

// Judges the cache pages that the qkv_* kernels write: each field within what the error of its f32 value allows.
import { above, affineOf, type PageShape, pairAt, pairOf, place } from "./attn_case.ts";
import { floatOf, halfBits, halfOf } from "./matrix.ts";

/** One row's key or value of one head. */
export interface PageWrite {
  /** First word of the page. */
  page: number;
  slot: number;
  kind: "k" | "v";
  values: Float64Array;
  /** How far an f32 computation of one value may be off. */
  error: number;
}

/** The f16 value nearest to `value`, at most ±65504. */
const half = (value: number): number => halfOf(halfBits(Math.max(-65504, Math.min(65504, value))));

const between = (got: number, least: number, most: number): boolean => got >= least && got <= most;

/** Element e of a write among all words, and its lowest bit. */
function elementAt(shape: PageShape, { page, kind, slot }: PageWrite, e: number): { word: number; shift: number } {
  const { word, shift } = place(shape, kind, slot, e);
  return { word: page + word, shift };
}

/** Word of the pair (scale, minimum) of a write. */
const pairWord = (shape: PageShape, { page, kind, slot }: PageWrite): number => page + pairAt(shape, kind, slot);

/** Least and greatest unit that a value within ± error may become, by the scale and minimum that were written. */
function units(value: number, error: number, scale: number, minimum: number, top: number): [number, number] {
  const step = scale === 0 ? 1 : scale;
  const slack = error + 2 ** -22 * (Math.abs(value) + Math.abs(minimum)); // of the subtraction and the division
  const clamped = (unit: number) => Math.max(0, Math.min(top, unit));
  return [
    clamped(Math.ceil((value - slack - minimum) / step - 0.5)),
    clamped(Math.floor((value + slack - minimum) / step + 0.5)),
  ];
}

function judgeAffine(shape: PageShape, write: PageWrite, words: Uint32Array): string | null {
  const top = 2 ** shape.KV_BITS - 1;
  const { scale, minimum } = pairOf(words[pairWord(shape, write)]!);
  const [least, most] = [Math.min(...write.values), Math.max(...write.values)];
  const { error } = write;
  const lowest = (value: number) => affineOf(Math.fround(value), value, top).minimum;
  if (!between(minimum, lowest(least - error), lowest(least + error))) return `minimum ${minimum}, want ${least}`;
  const slack = error + 2 ** -21 * (Math.abs(most) + Math.abs(minimum)); // of the subtraction and the division
  const scaleOf = (range: number) => above(Math.fround(Math.max(0, range) / top));
  const range = most - minimum;
  if (!between(scale, scaleOf(range - slack), scaleOf(range + slack))) return `scale ${scale}, want ${range / top}`;
  for (const [e, value] of write.values.entries()) {
    const { word, shift } = elementAt(shape, write, e);
    const unit = (words[word]! >>> shift) & top;
    const [first, last] = units(value, error, scale, minimum, top);
    if (!between(unit, first, last)) return `unit ${e} is ${unit}, want ${first} to ${last}`;
  }
  return null;
}

function judgeFloat(shape: PageShape, { values, error, ...rest }: PageWrite, words: Uint32Array): string | null {
  for (const [e, value] of values.entries()) {
    const { word, shift } = elementAt(shape, { values, error, ...rest }, e);
    const bits = words[word]!;
    const round = shape.KV_BITS === 16 ? half : (exact: number) => exact;
    const got = shape.KV_BITS === 16 ? halfOf((bits >>> shift) & 0xffff) : floatOf(bits);
    if (!between(got, round(value - error), round(value + error)))
      return `value ${e} is ${got}, want ${value} ± ${error}`;
  }
  return null;
}

/** Null if every write is in its place and all other words are as before. */
export function judgePages(
  shape: PageShape,
  writes: readonly PageWrite[],
  before: Uint32Array,
  words: Uint32Array,
): string | null {
  const rest = before.slice();
  const take = (at: number): void => void (rest[at] = words[at]!);
  const judge = shape.KV_BITS <= 8 ? judgeAffine : judgeFloat;
  for (const write of writes) {
    const wrong = judge(shape, write, words);
    if (wrong) return `: ${write.kind} of page ${write.page} slot ${write.slot}: ${wrong}`;
    for (let e = 0; e < shape.E; e++) take(elementAt(shape, write, e).word);
    if (shape.KV_BITS <= 8) take(pairWord(shape, write));
  }
  const at = rest.findIndex((word, i) => words[i] !== word);
  return at < 0 ? null : `[${at}] = ${words[at]} was written, want untouched`;
}

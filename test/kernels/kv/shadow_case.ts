// Whole prompts in pages, as the kernels that turn one into a shadow find them, and how pairs of f16 are judged.
import { get, halfBits as normalBits, pageWords, put } from "../attn_case.ts";
import { halfBits, halfOf } from "../matrix.ts";
import { floats, pick, type Verdict } from "../spec.ts";

export interface PromptShape {
  G: number;
  E: number;
  KV_BITS: number;
}

/** [G, E, KV_BITS]: each storage, widths that are no multiple of 16. */
const PROMPT_SHAPES = [
  [3, 64, 16],
  [1, 8, 32],
  [2, 24, 8],
  [2, 72, 4],
] as const;

export function promptShape(seed: number, tiny: boolean): PromptShape {
  const [G, E, KV_BITS] = tiny ? ([2, 8, 32] as const) : PROMPT_SHAPES[seed % PROMPT_SHAPES.length]!;
  return { G, E, KV_BITS };
}

/** Of a token: whether the arena under test has it, and what its page holds. */
export interface Token {
  here: boolean;
  key: (head: number) => Float64Array;
  value: (head: number) => Float64Array;
}

/** Sequence `row` of two has a prompt of `tokens` tokens, its pages in two arenas. Nothing has been given up. */
export function drawPrompt(uniform: () => number, shape: PromptShape, tokens: number) {
  const { G, E } = shape;
  const words = pageWords(shape);
  const pages = Math.ceil(tokens / 32);
  const [row, column, arena] = [pick(uniform, [0, 1]), pick(uniform, [0, 2]), pick(uniform, [0, 1])];
  const columns = column + G + pick(uniform, [0, 1]);
  const listLength = 1 + pages + pick(uniform, [0, 2]);
  const table = new Uint32Array(2 * listLength * columns * 4).fill(0xfffffff0);
  const kv = new Uint32Array((pages * G + 1) * words).fill(0x7fff7fff);
  const at = (page: number, head: number) => ((pages - 1 - page) * G + head) * words;
  const arenas = Array.from({ length: pages }, () => (uniform() < 0.75 ? arena : 1 - arena));
  for (let page = 0; page < pages; page++) {
    for (let head = 0; head < G; head++) {
      const entry = ((row * listLength + 1 + page) * columns + column + head) * 4;
      table.set([at(page, head), 0xffffffff, arenas[page]!, 32 * page], entry);
    }
  }
  const cache = { shape, kv };
  for (let t = 0; t < tokens; t++) {
    for (let head = 0; head < G; head++) {
      put(cache, at(Math.floor(t / 32), head), "k", t % 32, floats(uniform, E, 2));
      put(cache, at(Math.floor(t / 32), head), "v", t % 32, floats(uniform, E, 3));
    }
  }
  const read = (kind: "k" | "v", t: number) => (head: number) =>
    Float64Array.from({ length: E }, (_, e) => get(cache, at(Math.floor(t / 32), head), kind, t % 32, e));
  const token = (t: number): Token => ({
    here: arenas[Math.floor(t / 32)] === arena,
    key: read("k", t),
    value: read("v", t),
  });
  return { table, kv, token, row, params: { listLength, columns, column, arena } };
}

/** (cos, sin) of E/2 angles for each of `positions`, in f32. */
export function drawRope(positions: number, E: number): Float32Array {
  return Float32Array.from({ length: positions * E }, (_, i) => {
    const angle = Math.floor(i / E) * 100 ** (-Math.floor((i % E) / 2) / E);
    return i % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  });
}

/** A number that must be stored as f16, and how far an f32 computation of it may be off. */
export interface Near {
  value: number;
  error: number;
}

/** The f16 nearest to `value`, as it is stored. */
export const toHalf = (value: number): number => halfOf(halfBits(Math.max(-65504, Math.min(65504, value))));

export function halfWrong(bits: number, { value, error }: Near): string | null {
  const got = halfOf(bits & 0xffff);
  return got >= toHalf(value - error) && got <= toHalf(value + error) ? null : `${got}, want ${value} ± ${error}`;
}

/** Every word of `want` has its two numbers, all others are as before. */
export const halves =
  (before: Uint32Array, want: ReadonlyMap<number, readonly [Near, Near]>): Verdict =>
  (words) => {
    for (let at = 0; at < before.length; at++) {
      const pair = want.get(at);
      if (!pair && words[at] !== before[at]) return `[${at}] was written, want untouched`;
      const wrong = pair && (halfWrong(words[at]!, pair[0]) ?? halfWrong(words[at]! >>> 16, pair[1]));
      if (wrong) return `[${at}] = ${wrong}`;
    }
    return null;
  };

/** A byte as a signed number. */
export const signed = (byte: number): number => ((byte & 0xff) << 24) >> 24;

/** Every word of `want` has codes of its four numbers, steps of 8/127 and cut at ±8; all others are as before. */
export const eighths =
  (before: Uint32Array, want: ReadonlyMap<number, readonly Near[]>): Verdict =>
  (words) => {
    for (let at = 0; at < before.length; at++) {
      const four = want.get(at);
      if (!four && words[at] !== before[at]) return `[${at}] was written, want untouched`;
      for (const [i, { value, error }] of (four ?? []).entries()) {
        const code = signed(words[at]! >>> (8 * i));
        const exact = Math.max(-127, Math.min(127, (value * 127) / 8));
        if (Math.abs(code - exact) > 0.5 + (error * 127) / 8) return `[${at}] code ${i} is ${code}, want ${exact}`;
      }
    }
    return null;
  };

/** Random f16 numbers in ±scale, none subnormal, as pairs in words, and their values. */
export function drawHalves(uniform: () => number, count: number, scale = 1) {
  const bits = Uint16Array.from(floats(uniform, count, scale), normalBits);
  return { words: new Uint32Array(bits.buffer), values: Float64Array.from(bits, halfOf) };
}

// Readers of pages that keep numbers as they were written, in the order of written pages: for formats that leave channels out or add
// something to slots.
import { BLOCK_TOKENS } from "./blocks.ts";
import type { WrittenFormat } from "./format.ts";

const OWN_CHANNELS = "fn key_query(at: u32, page: u32, e4: u32) -> vec4f { return q[at + e4]; }";

/** Words of a slot's key; of 4 bits, the last one may be half full. */
const wordsOfKey = (keys: number, bits: number): number => Math.ceil((keys * bits) / 32);

/** Of a page: heads of `width` channels, of keys those that it has. */
export interface Rows {
  width: number;
  keys: number;
  bits: WrittenFormat["bits"];
}

/** First words of the parts of a page. */
function partsOf({ width, keys, bits }: Rows) {
  const values = wordsOfKey(keys, bits) * BLOCK_TOKENS;
  const pairs = values + width * bits;
  return { values, pairs, end: pairs + (bits <= 8 ? 2 * BLOCK_TOKENS : 0) };
}

/** Words of keys, values and pairs: what follows them is the format's own. */
export const wordsOf = (width: number, keys: number, bits: WrittenFormat["bits"]): number =>
  partsOf({ width, keys, bits }).end;

/** Four keys from the word at `at`, where words of a slot are eight apart. */
const FOUR_KEYS: Readonly<Record<WrittenFormat["bits"], string>> = {
  32: `let from4 = at + e4 * 32u;
  return bitcast<vec4f>(vec4u(kv[from4], kv[from4 + 8u], kv[from4 + 16u], kv[from4 + 24u]));`,
  16: "return vec4f(unpack2x16float(kv[at + e4 * 16u]), unpack2x16float(kv[at + e4 * 16u + 8u]));",
  8: "return opening.y + opening.x * slot_units(kv[at + e4 * 8u], 0u);",
  4: "return opening.y + opening.x * slot_units(kv[at + e4 / 2u * 8u], e4 % 2u * 16u);",
};

const VALUE_PAIR: Readonly<Record<WrittenFormat["bits"], string>> = {
  32: "return vec2f(bitcast<f32>(word), 0.0);",
  16: "return unpack2x16float(word);",
  8: "return opening.y + opening.x * slot_units(word >> (16u * i), 0u).xy;",
  4: "return opening.y + opening.x * slot_units(word >> (8u * i), 0u).xy;",
};

/** For units with a scale and a minimum by slot: what they are in a word, and the pair as f32. */
const unitsText = (bits: number): string => `
fn slot_units(word: u32, low: u32) -> vec4f {
  return vec4f((vec4u(word) >> (low + ${bits}u * vec4u(0u, 1u, 2u, 3u))) & vec4u(${2 ** bits - 1}u));
}

fn slot_pair(pair: u32) -> vec2f { return bitcast<vec2f>(vec2u(pair << 16u, pair & 0xffff0000u)); }`;

/** What a format does otherwise. */
interface Own {
  /** Text that declares `key_query`; its channels are the head's where there is none. */
  query?: string;
  /** A slot's score, of `product`, `page` and `slot`. */
  score?: string;
}

/** How attn_decode reads such a page: what shaders/lib/format_slot.wgsl declares, for this format. */
export function readerOf(rows: Rows, { query = OWN_CHANNELS, score = "product" }: Own): string {
  const { width, keys, bits } = rows;
  const { values, pairs } = partsOf(rows);
  const paired = bits <= 8;
  return `// keys of ${keys} of ${width} channels, numbers of ${bits} bits
const KEY_WIDTH = ${keys}u;
const VALUE_WORDS = ${(width * bits) / 32}u;
const PAIRS = ${Math.max(1, 16 / bits)}u;
const WORD_VALUES = ${32 / bits}u;
const NOTES = ${paired ? 1 : 0}u;
${paired ? unitsText(bits) : ""}
${query}

fn key_score(product: f32, page: u32, slot: u32) -> f32 { return ${score}; }
fn key_opening(page: u32, slot: u32) -> vec2f { return ${paired ? `slot_pair(kv[page + ${pairs}u + slot])` : "vec2f()"}; }

fn key(page: u32, e4: u32, slot: u32, opening: vec2f) -> vec4f {
  let at = page + slot / 8u * ${8 * wordsOfKey(keys, bits)}u + slot % 8u;
  ${FOUR_KEYS[bits]}
}

fn value_note(page: u32, slot: u32) -> u32 { return ${paired ? `kv[page + ${pairs + BLOCK_TOKENS}u + slot]` : "0u"}; }
fn value_word(page: u32, slot: u32, w: u32) -> u32 { return kv[page + ${values}u + slot * VALUE_WORDS + w]; }
fn value_opening(page: u32, slot: u32, w: u32, note: u32) -> vec2f { return ${paired ? "slot_pair(note)" : "vec2f()"}; }
fn value_pair(word: u32, i: u32, opening: vec2f) -> vec2f { ${VALUE_PAIR[bits]} }`;
}

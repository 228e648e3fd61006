// A page of ThinK: a written page without some channels of its keys. The kernel's header (shaders/kv/think_seal.wgsl) draws it.
import { alignUp } from "../../../errors.ts";
import { think_keep, think_seal } from "../../../gpu/kernels.gen.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import { CHANNELS_OF_WORD, type KeyWidth, queryOfChannels } from "../../channels.ts";
import type { SealedFormat, WrittenFormat } from "../../format.ts";

const SEAL_THREADS = 64;

/** Words of a slot's key; of 4 bits, the last one may be half full. */
const wordsOfKey = (keys: number, bits: number): number => Math.ceil((keys * bits) / 32);

/** First words of the parts of a page. */
function partsOf(width: number, keys: number, bits: number) {
  const values = wordsOfKey(keys, bits) * BLOCK_TOKENS;
  const pairs = values + width * bits;
  const channels = pairs + (bits <= 8 ? 2 * BLOCK_TOKENS : 0);
  return { values, pairs, channels, end: alignUp(channels + keys / CHANNELS_OF_WORD, 4) };
}

/** Four keys from the word at `at`, where words of a slot are eight apart. */
const FOUR_KEYS: Readonly<Record<WrittenFormat["bits"], string>> = {
  32: `let from4 = at + e4 * 32u;
  return bitcast<vec4f>(vec4u(kv[from4], kv[from4 + 8u], kv[from4 + 16u], kv[from4 + 24u]));`,
  16: "return vec4f(unpack2x16float(kv[at + e4 * 16u]), unpack2x16float(kv[at + e4 * 16u + 8u]));",
  8: "return opening.y + opening.x * think_units(kv[at + e4 * 8u], 0u);",
  4: "return opening.y + opening.x * think_units(kv[at + e4 / 2u * 8u], e4 % 2u * 16u);",
};

const VALUE_PAIR: Readonly<Record<WrittenFormat["bits"], string>> = {
  32: "return vec2f(bitcast<f32>(word), 0.0);",
  16: "return unpack2x16float(word);",
  8: "return opening.y + opening.x * think_units(word >> (16u * i), 0u).xy;",
  4: "return opening.y + opening.x * think_units(word >> (8u * i), 0u).xy;",
};

/** For units with a scale and a minimum by slot: what they are in a word, and the pair as f32. */
const unitsText = (bits: number): string => `
fn think_units(word: u32, low: u32) -> vec4f {
  return vec4f((vec4u(word) >> (low + ${bits}u * vec4u(0u, 1u, 2u, 3u))) & vec4u(${2 ** bits - 1}u));
}

fn think_pair(pair: u32) -> vec2f { return bitcast<vec2f>(vec2u(pair << 16u, pair & 0xffff0000u)); }`;

/** How attn_decode reads such a page: what shaders/lib/format_slot.wgsl declares, for this format. */
function reader(width: number, keys: number, bits: WrittenFormat["bits"]): string {
  const { values, pairs, channels } = partsOf(width, keys, bits);
  const paired = bits <= 8;
  return `// pages of ThinK: keys of ${keys} of ${width} channels, numbers of ${bits} bits
const KEY_WIDTH = ${keys}u;
const VALUE_WORDS = ${(width * bits) / 32}u;
const PAIRS = ${Math.max(1, 16 / bits)}u;
const WORD_VALUES = ${32 / bits}u;
const NOTES = ${paired ? 1 : 0}u;
${paired ? unitsText(bits) : ""}
${queryOfChannels(channels)}

fn key_score(product: f32, page: u32, slot: u32) -> f32 { return product; }
fn key_opening(page: u32, slot: u32) -> vec2f { return ${paired ? `think_pair(kv[page + ${pairs}u + slot])` : "vec2f()"}; }

fn key(page: u32, e4: u32, slot: u32, opening: vec2f) -> vec4f {
  let at = page + slot / 8u * ${8 * wordsOfKey(keys, bits)}u + slot % 8u;
  ${FOUR_KEYS[bits]}
}

fn value_note(page: u32, slot: u32) -> u32 { return ${paired ? `kv[page + ${pairs + BLOCK_TOKENS}u + slot]` : "0u"}; }
fn value_word(page: u32, slot: u32, w: u32) -> u32 { return kv[page + ${values}u + slot * VALUE_WORDS + w]; }
fn value_opening(page: u32, slot: u32, w: u32, note: u32) -> vec2f { return ${paired ? "think_pair(note)" : "vec2f()"}; }
fn value_pair(word: u32, i: u32, opening: vec2f) -> vec2f { ${VALUE_PAIR[bits]} }`;
}

/** Pages of `written` with keys of so many channels. */
export const thinkFormat = ({ name, bits }: WrittenFormat, keysOf: KeyWidth): SealedFormat => ({
  name: `think ${name}`,
  words: (width) => partsOf(width, keysOf(width), bits).end,
  reader: (width) => reader(width, keysOf(width), bits),
  seal: think_seal,
  gather: think_keep,
  sealConstants: (width) => ({ E: width, KEYS: keysOf(width), KV_BITS: bits, WG: SEAL_THREADS }),
});

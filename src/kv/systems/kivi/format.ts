// A page of KIVI: codes of few bits with a scale and a minimum (f16), keys in groups by channel over the page's 32 tokens,
// values in groups of channels by token. The kernel's header and docs/kv.md draw it. Source: Liu et al., KIVI (2402.02750).
import { alignUp } from "../../../errors.ts";
import { kivi_seal } from "../../../gpu/kernels.gen.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import { CHANNELS_OF_WORD, type KeyWidth, queryOfChannels } from "../../channels.ts";
import type { SealedFormat } from "../../format.ts";
import { hadamard, hadamardBlock } from "../../hadamard.ts";

export interface KiviOptions {
  /** Bits of a key's code and of a value's: 2, 4 or 8. */
  kbits: number;
  vbits: number;
  /** Keys and values are turned by the Walsh–Hadamard matrix before they are quantised. */
  rotate: boolean;
}

/** Channels of a value with one scale, at most; the paper's number. */
const GROUP = 32;

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** Channels of a value that share a scale: as many as divide the head. */
const groupOf = (width: number): number => divisor(width, GROUP);

/** First words of the parts of a page whose keys have `keys` channels; of fewer than all, their list comes last. */
function partsOf(width: number, keys: number, { kbits, vbits }: KiviOptions) {
  const keyPairs = BLOCK_TOKENS * Math.ceil((keys * kbits) / 32);
  const values = keyPairs + keys;
  const valuePairs = values + (BLOCK_TOKENS * width * vbits) / 32;
  const channels = valuePairs + (BLOCK_TOKENS * width) / groupOf(width);
  const listed = keys < width ? keys / CHANNELS_OF_WORD : 0;
  return { keyPairs, values, valuePairs, channels, end: alignUp(channels + listed, 4) };
}

/** How attn_decode reads such a page: what shaders/lib/format_slot.wgsl declares, for this format. */
function reader(width: number, keys: number, options: KiviOptions): string {
  const { kbits, vbits } = options;
  const { keyPairs, values, valuePairs, channels } = partsOf(width, keys, options);
  const group = groupOf(width);
  return `// pages of KIVI: keys of ${kbits} bits by channel, values of ${vbits} bits in groups of ${group} channels
const KEY_WIDTH = ${keys}u;
const VALUE_WORDS = ${(width * vbits) / 32}u;
const PAIRS = ${16 / vbits}u;
const WORD_VALUES = ${32 / vbits}u;
const NOTES = 0u;

${keys < width ? queryOfChannels(channels) : "fn key_query(at: u32, page: u32, e4: u32) -> vec4f { return q[at + e4]; }"}
fn key_score(product: f32, page: u32, slot: u32) -> f32 { return product; }
fn key_opening(page: u32, slot: u32) -> vec2f { return vec2f(); }

fn key(page: u32, e4: u32, slot: u32, opening: vec2f) -> vec4f {
  let word = kv[page + e4 * ${kbits}u / 8u * 32u + slot];
  let codes = (vec4u(word) >> (e4 * ${4 * kbits}u % 32u + ${kbits}u * vec4u(0u, 1u, 2u, 3u))) & vec4u(${2 ** kbits - 1}u);
  let at = page + ${keyPairs}u + 4u * e4;
  let a = unpack2x16float(kv[at]);
  let b = unpack2x16float(kv[at + 1u]);
  let c = unpack2x16float(kv[at + 2u]);
  let d = unpack2x16float(kv[at + 3u]);
  return vec4f(a.y, b.y, c.y, d.y) + vec4f(a.x, b.x, c.x, d.x) * vec4f(codes);
}

fn value_note(page: u32, slot: u32) -> u32 { return 0u; }
fn value_word(page: u32, slot: u32, w: u32) -> u32 { return kv[page + ${values}u + slot * VALUE_WORDS + w]; }

fn value_opening(page: u32, slot: u32, w: u32, note: u32) -> vec2f {
  return unpack2x16float(kv[page + ${valuePairs}u + slot * ${width / group}u + w * WORD_VALUES / ${group}u]);
}

fn value_pair(word: u32, i: u32, opening: vec2f) -> vec2f {
  let codes = (vec2u(word) >> (${2 * vbits}u * i + ${vbits}u * vec2u(0u, 1u))) & vec2u(${2 ** vbits - 1}u);
  return opening.y + opening.x * vec2f(codes);
}`;
}

const ALL: KeyWidth = (width) => width;

export const kiviFormat = (options: KiviOptions, keysOf = ALL): SealedFormat => ({
  name: `kivi ${options.kbits}/${options.vbits} bits${options.rotate ? ", rotated" : ""}`,
  words: (width) => partsOf(width, keysOf(width), options).end,
  reader: (width) => reader(width, keysOf(width), options),
  seal: kivi_seal,
  sealConstants: (width, { bits }) => ({
    E: width,
    KEYS: keysOf(width),
    WG: width,
    BLOCK: options.rotate ? hadamardBlock(width) : 1,
    K_BITS: options.kbits,
    V_BITS: options.vbits,
    GROUP: groupOf(width),
    KV_BITS: bits,
  }),
  ...(options.rotate ? { basis: hadamard } : { narrowed: (keysOf) => kiviFormat(options, keysOf) }),
});

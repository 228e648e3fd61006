// A joint page of two neighbouring layers: for each slot one direction for both and a magnitude for each, or both as they were.
// The kernel's header (shaders/kv/minicache_seal.wgsl) draws it.
import { alignUp } from "../../../errors.ts";
import { minicache_seal } from "../../../gpu/kernels.gen.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { SealedFormat, WrittenFormat } from "../../format.ts";

type Bits = WrittenFormat["bits"];

/** Words of one layer's scales: a magnitude or a pair for each K and V, of f16 two to a word. */
const scaleWords = (bits: Bits): number => (bits === 16 ? 1 : 2) * BLOCK_TOKENS;

/** First words of the parts of a page. */
function partsOf(width: number, bits: Bits, exact: number) {
  const row = (width * bits) / 32;
  const values = (BLOCK_TOKENS + exact) * row;
  const scales = 2 * values;
  const masks = scales + 2 * scaleWords(bits);
  return { row, values, scales, masks, end: alignUp(masks + 2, 4) };
}

/** Of a row whose words begin at kv[at] and are `apart` words apart. */
const FOUR_KEYS: Readonly<Record<Bits, string>> = {
  32: `let first = at + 4u * e4 * apart;
  return bitcast<vec4f>(vec4u(kv[first], kv[first + apart], kv[first + 2u * apart], kv[first + 3u * apart]));`,
  16: "return vec4f(unpack2x16float(kv[at + 2u * e4 * apart]), unpack2x16float(kv[at + (2u * e4 + 1u) * apart]));",
  8: "return opening.y + opening.x * joint_units(kv[at + e4 * apart], 0u);",
  4: "return opening.y + opening.x * joint_units(kv[at + e4 / 2u * apart], e4 % 2u * 16u);",
};

const VALUE_PAIR: Readonly<Record<Bits, string>> = {
  32: "return opening.x * vec2f(bitcast<f32>(word), 0.0);",
  16: "return opening.x * unpack2x16float(word);",
  8: "return opening.y + opening.x * joint_units(word >> (16u * i), 0u).xy;",
  4: "return opening.y + opening.x * joint_units(word >> (8u * i), 0u).xy;",
};

const unitsText = (bits: number): string => `
fn joint_units(word: u32, low: u32) -> vec4f {
  return vec4f((vec4u(word) >> (low + ${bits}u * vec4u(0u, 1u, 2u, 3u))) & vec4u(${2 ** bits - 1}u));
}

fn joint_pair(pair: u32) -> vec2f { return bitcast<vec2f>(vec2u(pair << 16u, pair & 0xffff0000u)); }`;

/** How scales enter: magnitudes multiply a key's product and a value's numbers, pairs open both. */
function scalesText(bits: Bits, scales: number): string {
  const at = (kind: "K" | "V") =>
    `kv[page - page % 4u + ${scales}u + page % 4u * ${scaleWords(bits)}u + slot${kind === "V" && bits !== 16 ? " + 32u" : ""}]`;
  const magnitude = bits === 16 ? `unpack2x16float(${at("K")}).x` : `bitcast<f32>(${at("K")})`;
  const opened = { 32: "vec2f(bitcast<f32>(note))", 16: "vec2f(unpack2x16float(note).y)", 8: "joint_pair(note)", 4: "joint_pair(note)" }; // prettier-ignore
  const paired = bits <= 8;
  return `fn key_opening(page: u32, slot: u32) -> vec2f { return ${paired ? `joint_pair(${at("K")})` : "vec2f()"}; }
fn key_score(product: f32, page: u32, slot: u32) -> f32 { return product${paired ? "" : ` * ${magnitude}`}; }
fn value_note(page: u32, slot: u32) -> u32 { return ${at("V")}; }
fn value_opening(page: u32, slot: u32, w: u32, note: u32) -> vec2f { return ${opened[bits]}; }`;
}

/** How attn_decode reads such a page: what shaders/lib/format_slot.wgsl declares, for this format. */
function reader(width: number, bits: Bits, exact: number): string {
  const { row, values, scales, masks } = partsOf(width, bits, exact);
  return `// pages of MiniCache: two layers in one, numbers of ${bits} bits, ${exact} slots exact
const KEY_WIDTH = ${width}u;
const VALUE_WORDS = ${row}u;
const PAIRS = ${Math.max(1, 16 / bits)}u;
const WORD_VALUES = ${32 / bits}u;
const NOTES = 1u;
${bits <= 8 ? unitsText(bits) : ""}
// The row of a slot: its own, or where the second layer (page % 4 = 1) has an exact one, that. \`kind\`: 0 for K, 1 for V.
fn joint_row(page: u32, slot: u32, kind: u32) -> u32 {
  if (page % 4u == 0u) { return slot; }
  let exact = kv[page - 1u + ${masks}u + kind];
  return select(slot, 32u + countOneBits(exact & ((1u << slot) - 1u)), ((exact >> slot) & 1u) == 1u);
}

fn key_query(at: u32, page: u32, e4: u32) -> vec4f { return q[at + e4]; }
${scalesText(bits, scales)}

fn key(page: u32, e4: u32, slot: u32, opening: vec2f) -> vec4f {
  let row = joint_row(page, slot, 0u);
  let apart = select(8u, 1u, row >= 32u);
  let at = page - page % 4u + select(row / 8u * ${8 * row}u + row % 8u, row * ${row}u, row >= 32u);
  ${FOUR_KEYS[bits]}
}

fn value_word(page: u32, slot: u32, w: u32) -> u32 {
  return kv[page - page % 4u + ${values}u + joint_row(page, slot, 1u) * VALUE_WORDS + w];
}

fn value_pair(word: u32, i: u32, opening: vec2f) -> vec2f { ${VALUE_PAIR[bits]} }`;
}

export interface JointOptions {
  /** Slots of a page that stay as they are. */
  exact: number;
  /** Where between the directions: 0 the first layer's, 1 the second's. */
  toward: number;
}

/** Joint pages of two pages of `written`. */
export const jointFormat = ({ name, bits }: WrittenFormat, { exact, toward }: JointOptions): SealedFormat => ({
  name: `minicache ${name}`,
  words: (width) => partsOf(width, bits, exact).end,
  reader: (width) => reader(width, bits, exact),
  seal: minicache_seal,
  sealConstants: (width, _, apart) => ({ E: width, KV_BITS: bits, APART: apart, EXACT: exact, T: toward }),
});

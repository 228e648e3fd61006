// What a ThinK page holds, word by word: independent of the shaders that write and read it.
import { type PageShape, pageWords, place } from "./attn_case.ts";
import { pick } from "./spec.ts";

export interface ThinkShape extends PageShape {
  /** Channels of a key that stay. */
  KEYS: number;
}

/** Words of all keys, then of values and pairs, then of the channels' list. */
export function partsOfThink({ E, KEYS, KV_BITS }: ThinkShape) {
  const keys = 32 * Math.ceil((KEYS * KV_BITS) / 32);
  const rest = pageWords({ E, KV_BITS }) - E * KV_BITS;
  return { keys, rest, used: keys + rest + KEYS / 4 };
}

export const wordsOfThink = (shape: ThinkShape): number => 4 * Math.ceil(partsOfThink(shape).used / 4);

/** So many of E channels, ascending. */
export function drawChannels(uniform: () => number, { E, KEYS }: ThinkShape): number[] {
  const left = Array.from({ length: E }, (_, e) => e);
  while (left.length > KEYS) left.splice(left.indexOf(pick(uniform, left)), 1);
  return left;
}

/** Four to a word. */
export const packChannels = (channels: readonly number[]): Uint32Array =>
  Uint32Array.from({ length: channels.length / 4 }, (_, w) => channels.slice(4 * w, 4 * w + 4).reduceRight((word, c) => word * 256 + c, 0)); // prettier-ignore

/** A written page without all other channels of its keys. What lies behind the channels' list is 0. */
export function narrowed(shape: ThinkShape, source: Uint32Array, channels: readonly number[]): Uint32Array {
  const { E, KV_BITS } = shape;
  const words = new Uint32Array(wordsOfThink(shape));
  const parts = partsOfThink(shape);
  const narrow = { E: parts.keys / KV_BITS, KV_BITS };
  for (let slot = 0; slot < 32; slot++) {
    for (const [i, channel] of channels.entries()) {
      const [from, to] = [place({ E, KV_BITS }, "k", slot, channel), place(narrow, "k", slot, i)];
      const number = KV_BITS === 32 ? source[from.word]! : (source[from.word]! >>> from.shift) & (2 ** KV_BITS - 1);
      words[to.word] = (words[to.word]! | (number << to.shift)) >>> 0;
    }
  }
  words.set(source.subarray(E * KV_BITS, E * KV_BITS + parts.rest), parts.keys);
  words.set(packChannels(channels), parts.keys + parts.rest);
  return words;
}

/** Words of a slot's key and value, and of their pairs. */
export function placesOfSlot(shape: ThinkShape, slot: number): number[] {
  const { keys, rest } = partsOfThink(shape);
  const [keyWords, valueWords] = [keys / 32, (shape.E * shape.KV_BITS) / 32];
  const key = Array.from({ length: keyWords }, (_, w) => (Math.floor(slot / 8) * keyWords + w) * 8 + (slot % 8));
  const value = Array.from({ length: valueWords }, (_, w) => keys + slot * valueWords + w);
  const pairs = keys + 32 * valueWords + slot;
  return [...key, ...value, ...(rest > 32 * valueWords ? [pairs, pairs + 32] : [])];
}

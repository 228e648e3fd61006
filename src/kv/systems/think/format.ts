// A page of ThinK: a written page without some channels of its keys. The kernel's header (shaders/kv/think_seal.wgsl) draws it.
import { alignUp } from "../../../errors.ts";
import { think_keep, think_seal } from "../../../gpu/kernels.gen.ts";
import { CHANNELS_OF_WORD, type KeyWidth, queryOfChannels } from "../../channels.ts";
import type { SealedFormat, WrittenFormat } from "../../format.ts";
import { readerOf, wordsOf } from "../../reader.ts";

const SEAL_THREADS = 64;

/** Where the list of channels begins, and where the page ends. */
function partsOf(width: number, keys: number, bits: WrittenFormat["bits"]) {
  const channels = wordsOf(width, keys, bits);
  return { channels, end: alignUp(channels + keys / CHANNELS_OF_WORD, 4) };
}

const reader = (width: number, keys: number, bits: WrittenFormat["bits"]): string =>
  readerOf({ width, keys, bits }, { query: queryOfChannels(partsOf(width, keys, bits).channels) });

/** Pages of `written` with keys of so many channels. */
export const thinkFormat = ({ name, bits }: WrittenFormat, keysOf: KeyWidth): SealedFormat => ({
  name: `think ${name}`,
  words: (width) => partsOf(width, keysOf(width), bits).end,
  reader: (width) => reader(width, keysOf(width), bits),
  seal: think_seal,
  gather: think_keep,
  sealConstants: (width) => ({ E: width, KEYS: keysOf(width), KV_BITS: bits, WG: SEAL_THREADS }),
});

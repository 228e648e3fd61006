// ThinK: keys of older tokens are kept in some of their channels, those that matter to a prompt's last queries. Source: Xu et
// al. (2407.21018); docs/kv.md.
import { alignUp, InputError } from "../../../errors.ts";
import { Later } from "../../../later.ts";
import { CHANNELS_OF_WORD, type KeyWidth } from "../../channels.ts";
import type { WrittenFormat } from "../../format.ts";
import type { Choosing, KvSystem, SealedPages, SystemDefinition } from "../../system.ts";
import { thinkFormat } from "./format.ts";

/** Queries at a prompt's end that channels are chosen by; the paper's number. */
const WINDOW = 32;
/** A channel's number is a byte. */
const WIDEST = 256;
/** Of the share of channels that go, so that 0.4 of 40 are 16. */
const ROUNDING = 1e-9;

const work = new Later(() => import("./channels.ts"));

/** As the paper has it, ⌊(1 − keep)·width⌋ channels go; the number of those that stay is rounded up to whole words. */
const keysFor =
  (keep: number): KeyWidth =>
  (width) =>
    Math.min(width, alignUp(width - Math.floor((1 - keep) * width + ROUNDING), CHANNELS_OF_WORD));

function seal(keysOf: KeyWidth, recent: number, written: WrittenFormat, other: SealedPages | null): SealedPages {
  if (!other) return { format: thinkFormat(written, keysOf), recent };
  const format = other.format.narrowed?.(keysOf);
  if (format) return { format, recent: Math.max(recent, other.recent) };
  throw new InputError(
    `kv: think; got it with ${other.format.name}, whose keys need all of their channels. Leave think out, or what turns the keys.`,
  );
}

export const think: SystemDefinition = {
  name: "think",
  options: {
    keep: { least: 0.1, most: 1, fraction: true, default: 0.6 },
    recent: { least: 32, most: 2 ** 20, default: 32 },
  },
  load: () => work.load(),
  create({ keep, recent }, { headWidth }): KvSystem {
    if (headWidth > WIDEST) {
      throw new InputError(`kv: think; got heads of ${headWidth} channels, want at most ${WIDEST}. Leave think out.`);
    }
    const keysOf = keysFor(keep!);
    const choosing: Choosing = {
      windowRows: WINDOW,
      words: (width) => keysOf(width) / CHANNELS_OF_WORD,
      choose: (store, context) => work.now.chooseChannels(context, store, keysOf(headWidth)),
      seal: (written, other) => seal(keysOf, recent!, written, other),
    };
    return {
      name: "think",
      choosing,
      at: (place, layer, context) =>
        place === "afterAttention" ? [work.now.squareQueries(context, layer, WINDOW)] : [],
    };
  },
};

// MiniCache: older tokens of two neighbouring layers share their directions, and keep their magnitudes. Source: Liu et al.
// (2405.14366); docs/kv.md.
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { SystemDefinition } from "../../system.ts";
import { jointFormat } from "./format.ts";
import { twinsOf } from "./twins.ts";

/** The word for the paper's first layer, ⌊layers / 2⌋. */
const MIDDLE = -1;
/** Of the share of slots that stay, so that 0.0625 of 32 are 2. */
const ROUNDING = 1e-9;

export const minicache: SystemDefinition = {
  name: "minicache",
  options: {
    start: { least: 0, most: 1024, words: { middle: MIDDLE }, default: MIDDLE },
    keep: { least: 0, most: 1, fraction: true, default: 0.05 },
    toward: { least: 0, most: 1, fraction: true, default: 0.6 },
    recent: { least: 32, most: 2 ** 20, default: 32 },
  },
  create({ start, keep, toward, recent }, { layers, windows }) {
    const first = start === MIDDLE ? Math.floor(layers / 2) : start!;
    const exact = Math.ceil(keep! * BLOCK_TOKENS - ROUNDING);
    return {
      name: "minicache",
      sealed: (written) => ({
        format: jointFormat(written, { exact, toward: toward! }),
        recent: recent!,
        twins: (layout) => twinsOf(layout, windows, first),
      }),
    };
  },
};

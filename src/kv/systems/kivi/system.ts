// KIVI: older tokens are kept in 2, 4 or 8 bits, the latest exactly. Source: Liu et al. (2402.02750); docs/kv.md.
import { InputError } from "../../../errors.ts";
import type { SystemDefinition } from "../../system.ts";
import { kiviFormat } from "./format.ts";

const BITS = { least: 2, most: 8, among: [2, 4, 8] };
/** One thread per channel seals a page. */
const WIDEST = 256;

export const kivi: SystemDefinition = {
  name: "kivi",
  options: {
    kbits: { ...BITS, default: 4 },
    vbits: { ...BITS, default: 4 },
    recent: { least: 32, most: 2 ** 20, default: 64 },
    rotate: { least: 0, most: 1, default: 0 },
  },
  shorthands: { bits: ["kbits", "vbits"] },
  create({ kbits, vbits, recent, rotate }, { headWidth }) {
    const multiple = 32 / Math.min(kbits!, vbits!);
    if (headWidth % multiple !== 0 || headWidth > WIDEST) {
      throw new InputError(
        `kv: kivi; got heads of ${headWidth} channels, want a multiple of ${multiple} up to ${WIDEST} for codes of ${Math.min(kbits!, vbits!)} bits. Take more bits, or int8.`,
      );
    }
    const format = kiviFormat({ kbits: kbits!, vbits: vbits!, rotate: rotate === 1 });
    return { name: "kivi", sealed: () => ({ format, recent: recent! }) };
  },
};

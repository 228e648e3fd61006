// The basis that spreads outliers over the channels of a head: a Walsh–Hadamard matrix.
import { hadamard_partials, hadamard_query } from "../gpu/kernels.gen.ts";
import type { Basis } from "./format.ts";

/** The largest power of two that divides `width`: channels are turned in blocks of so many. */
export const hadamardBlock = (width: number): number => width & -width;

/** Threads of the kernels that turn a head, at most. */
const THREADS = 64;

export const hadamard: Basis = {
  query: hadamard_query,
  partials: hadamard_partials,
  constants: (width, heads) => ({
    E: width,
    H: heads,
    BLOCK: hadamardBlock(width),
    WG: Math.min(THREADS, width),
  }),
};

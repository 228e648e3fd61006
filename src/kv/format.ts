// How a page holds keys and values: 32 tokens of one KV head of one store. docs/kernels.md, "Pages and partials".
import type { KvFormat } from "../api.ts";
import type { KernelSource } from "../gpu/kernel.ts";
import { BLOCK_TOKENS } from "./blocks.ts";
import type { KeyWidth } from "./channels.ts";

/** What every format says of itself. */
interface FormatBase {
  name: string;
  /** 32-bit words of a page whose heads are `width` wide; a multiple of 4. */
  words(width: number): number;
}

/** A format that projections write and every attention kernel reads. Keys and values are stored alike. */
export interface WrittenFormat extends FormatBase {
  name: KvFormat;
  /** Of one stored number: the KV_BITS constant of the kernels. */
  bits: 4 | 8 | 16 | 32;
}

/** An orthogonal map of a head's channels that is its own inverse. */
export interface Basis {
  /** Writes `turned_query` [T, H, E] from `query`: parameter `firstRow`, one workgroup per head (x) and row (y). */
  query: KernelSource;
  /** Turns acc of `partials` in place: parameters `entries` and `entry`, one workgroup per head (x), split (y) and row (z). */
  partials: KernelSource;
  /** The constants of both, for heads of this width. */
  constants(width: number, heads: number): Readonly<Record<string, number>>;
}

/** A format that only `attn_decode` reads, with the text given here. */
export interface ReadFormat extends FormatBase {
  /** WGSL that stands in for shaders/lib/format_slot.wgsl and declares the same names, for heads of this width. */
  reader(width: number): string;
  /** Set where keys and values lie in another basis: queries are brought there, and results back. */
  basis?: Basis;
}

/**
 * One that pages are turned into once they are full. Where pages of twins become one, readers get its first word, for the second of the
 * twins one more.
 */
export interface SealedFormat extends ReadFormat {
  /** Turns pages of a written format into this one: takes the buffers and parameters that kv/edits.ts says. */
  seal: KernelSource;
  /** `apart`: words from the first of twins' pages to the second's. */
  sealConstants(width: number, from: WrittenFormat, apart: number): Readonly<Record<string, number>>;
  /** Moves tokens that stay of a prompt to private pages of this format, as `compact` does in a written one, with `choices` besides; absent: they stay in the written one. */
  gather?: KernelSource;
  /** The same with some channels of keys only, which `choices` names; absent: it needs all of them. */
  narrowed?(keysOf: KeyWidth): SealedFormat;
}

export type PageFormat = WrittenFormat | ReadFormat;

export const isWritten = (format: PageFormat): format is WrittenFormat => !("reader" in format);

export const isSealed = (format: PageFormat): format is SealedFormat => "seal" in format;

/** That of private pages: a sealed one where something is chosen for it and tokens can be moved there. */
export const keptFormat = (written: PageFormat, sealed: PageFormat, chooses: boolean): PageFormat =>
  chooses && isSealed(sealed) && sealed.gather ? sealed : written;

/** Words per slot beside its elements: pairs (scale, minimum) of K and of V. */
const pairWords = (bits: number): number => (bits <= 8 ? 2 : 0);

const written = (name: KvFormat, bits: WrittenFormat["bits"]): WrittenFormat => ({
  name,
  bits,
  words: (width) => BLOCK_TOKENS * ((2 * width * bits) / 32 + pairWords(bits)),
});

export const WRITTEN_FORMATS: Readonly<Record<KvFormat, WrittenFormat>> = {
  f16: written("f16", 16),
  f32: written("f32", 32),
  int8: written("int8", 8),
  int4: written("int4", 4),
};

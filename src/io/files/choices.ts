// The GGUF files of a repository: which of them run, and which of those to take.

import type { GgufChoice } from "../../errors.ts";

/** A file as a listing has it. `bytes`: null where the listing does not say. */
export interface ListedFile {
  path: string;
  bytes: number | null;
}

/** As file names spell precisions: Q4_K_M, IQ4_XS, Q8_0, BF16, MXFP4. */
const PRECISION = /(?:^|[-._/])((?:I?Q[1-8]|TQ[12])(?:_[A-Z0-9]+)*|BF16|F16|FP16|F32|MXFP4(?:_MOE)?)(?=[-._/]|$)/gi;
/** Of these the engine has no implementation. */
const REFUSED = /^(IQ[123]|TQ)/;
/** Projectors of images and statistics of quantisers have the ending too. */
const OTHER = /mmproj|imatrix/i;
const PART = /-(\d{5})-of-\d{5}\.gguf$/i;

/** Fewer bits a weight than this change what small models answer. */
const GOOD_BITS = 4;

/** Null for a name that tells no precision, or one without an implementation. */
export function precisionOf(path: string): string | null {
  const found = [...path.matchAll(PRECISION)].at(-1)?.[1]?.toUpperCase();
  return found === undefined || REFUSED.test(found) ? null : found;
}

/**
 * What can be run, the best choice first: the smallest file of at least 4 bits a weight, then larger ones, then those of
 * fewer bits from the largest down. Files of more than `mostBytes` come after all others. `root`: where the files lie.
 */
export function ggufChoices(files: readonly ListedFile[], root: string, mostBytes: number): GgufChoice[] {
  const choices = wholes(files).flatMap(({ path, bytes }) => {
    const precision = precisionOf(path);
    return precision === null ? [] : [{ source: root + encodeURI(path), precision, bytes }];
  });
  const rank = ({ precision, bytes }: GgufChoice): readonly number[] => {
    const [bits, size] = [bitsOf(precision), bytes ?? 0];
    return bits >= GOOD_BITS ? [+(size > mostBytes), 0, size, bits] : [+(size > mostBytes), 1, -size, -bits];
  };
  return choices.toSorted((a, b) => compare(rank(a), rank(b)));
}

/** Models in one file, and the first part of those in several with the bytes of all. */
function wholes(files: readonly ListedFile[]): ListedFile[] {
  const models = files.filter(({ path }) => /\.gguf$/i.test(path) && !OTHER.test(path));
  const stem = (path: string): string => path.replace(PART, "");
  return models
    .filter(({ path }) => (PART.exec(path)?.[1] ?? "00001") === "00001")
    .map(({ path }) => {
      const parts = PART.test(path) ? models.filter((other) => stem(other.path) === stem(path)) : [];
      const sizes = (parts.length > 0 ? parts : models.filter((other) => other.path === path)).map(
        ({ bytes }) => bytes,
      );
      return { path, bytes: sizes.reduce((sum, bytes) => (sum === null || bytes === null ? null : sum + bytes), 0) };
    });
}

const bitsOf = (precision: string): number => (precision.startsWith("MXFP4") ? 4 : Number(/\d+/.exec(precision)![0]));

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at < 0 ? 0 : a[at]! - b[at]!;
}

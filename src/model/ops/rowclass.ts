// Row classes: a program serves as many rows as its class says, at most. Narrow ones read weights row by row (GEMV), wide
// ones multiply them as a matrix; the kernels of each class are chosen for it.
import { assert } from "../../errors.ts";
import type { AdapterProfile } from "../../gpu/profile.ts";

/** The most rows of a class; Infinity: any number. */
export type RowClass = number;

export const MOST_NARROW = 8;

export function isNarrow(rows: RowClass): boolean {
  assert(rows >= 1, `isNarrow: got a class of ${rows} rows, want at least 1; Infinity for any number`);
  return rows <= MOST_NARROW;
}

/** Of an adapter's profile, ascending. */
type Classes = Pick<AdapterProfile, "narrowRows" | "wideRows">;

export const allClasses = ({ narrowRows, wideRows }: Classes): RowClass[] => [...narrowRows, ...wideRows];

/** The smallest class that has so many rows. */
export const classFor = (rows: number, profile: Classes): RowClass => allClasses(profile).find((most) => rows <= most)!;

/** "1", "8", "32", or "wide" for any number. */
export const nameOf = (rows: RowClass): string => (rows === Infinity ? "wide" : String(rows));

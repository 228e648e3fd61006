// Row classes: a program serves as many rows as its class says, at most. Narrow ones read weights row by row (GEMV), wide
// ones multiply them as a matrix; the kernels of each class are chosen for it.

/** The most rows of a class; Infinity: any number. */
export type RowClass = number;

const NARROW: readonly RowClass[] = [1, 2, 4, 8];
export const MOST_NARROW = 8;

export const isNarrow = (rows: RowClass): boolean => rows <= MOST_NARROW;

/** `wide`: the adapter profile's, ascending, the last one Infinity. */
export const allClasses = (wide: readonly RowClass[]): RowClass[] => [...NARROW, ...wide];

/** The smallest class that has so many rows. */
export const classFor = (rows: number, wide: readonly RowClass[]): RowClass =>
  allClasses(wide).find((most) => rows <= most)!;

/** "1", "8", "32", or "wide" for any number. */
export const nameOf = (rows: RowClass): string => (rows === Infinity ? "wide" : String(rows));

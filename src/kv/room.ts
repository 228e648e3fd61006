// What buffers of a cache have room for, and how that grows.

export interface Room {
  /** Blocks of each tier. */
  blocks: number;
  /** Pages of a list, given up or not, and positions by 32. */
  pages: number;
  /** Later blocks. */
  later: number;
  /** Blocks of all regions: one more than the last block of any. */
  regions: number;
}

/** Buffers beside the pages that grow with them. */
export interface Growing {
  /** Makes room. Throws UnsupportedError where there is no memory; what is there stays as it is. */
  grow(room: Room): Promise<void>;
}

const PARTS = ["blocks", "pages", "later", "regions"] as const;

export const covers = (room: Room, wanted: Room): boolean => PARTS.every((part) => wanted[part] <= room[part]);

/** Room for `wanted`; what is too small becomes at least twice as large, at most `most`. So what is copied is never more than what is used. */
export function grown(room: Room, wanted: Room, most: Room): Room {
  const part = (name: keyof Room): number =>
    wanted[name] <= room[name] ? room[name] : Math.min(most[name], Math.max(wanted[name], 2 * room[name]));
  return { blocks: part("blocks"), pages: part("pages"), later: part("later"), regions: part("regions") };
}

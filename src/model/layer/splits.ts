// How page lists are split over workgroups: enough of them to fill the adapter, few to merge.
import { ceilDiv } from "../../errors.ts";
import type { AdapterProfile } from "../../gpu/profile.ts";
import type { Sizes } from "../ops/sizes.ts";

/** `lists`: KV heads of all rows that decode, each with a list of its own of at most `pages` pages. */
export function splitsFor(
  { splitting }: AdapterProfile,
  lists: number,
  pages: number,
): Pick<Sizes, "splits" | "pagesPerSplit"> {
  if (pages <= splitting.pagesAlone) return { splits: 1, pagesPerSplit: pages };
  const most = Math.max(1, Math.floor((pages * lists) / splitting.workgroups));
  const splits = Math.min(splitting.most, ceilDiv(pages, most));
  return { splits, pagesPerSplit: ceilDiv(pages, splits) };
}

/** Splits of one KV head's lists in as many rows, all together, at most. */
export const mostSplits = ({ splitting }: AdapterProfile, kvHeads: number, rows: number): number =>
  Math.min(rows * splitting.most, ceilDiv(2 * splitting.workgroups, kvHeads) + rows); // a split has no less than half its share

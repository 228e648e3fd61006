// A request under way, as the caller has it, and what it goes on from.
import type { FinishReason } from "../api.ts";
import type { Attended } from "../attended.ts";
import type { Parked } from "../kv/parked.ts";
import type { Retention } from "../kv/plan.ts";
import type { Residence } from "../kv/residence.ts";
import type { Request, SampledToken } from "./sequence.ts";

/** A request under way: iterate to get its tokens. Leaving the loop early aborts it. */
export interface Run extends AsyncIterable<SampledToken> {
  /** Why it ended; null while it runs and after a failure, which the iterator throws. */
  readonly finish: FinishReason | null;
  /** Prompt tokens that were already in the cache. */
  readonly reusedTokens: number;
  /** What it holds apart from the tree, once it has ended, for a request that goes on from it; null where that is nothing or has gone. */
  readonly rested: Residence | null;
  /** What was kept of an earlier prompt, for every text, where it went on from that; null where it did not, or has not begun. */
  readonly goneOn: Retention | null;
  /** What it has read of its prompt, once it has ended; null where that was not asked for, or the recipe leaves no choice. */
  attended(): Promise<Attended | null>;
  /** Ends it and gives everything back. Idempotent. */
  abort(): void;
}

/**
 * What a request goes on from, of what rests: what the run before it left, or where that serves every text, what has most of this
 * one; null where nothing does.
 */
export function restedFor(
  { prompt, begun = [], reuse = true, anew = false }: Request,
  rested: Residence | null,
  parked: Parked | undefined,
  forAll: boolean,
): Residence | null {
  const text = [...prompt, ...begun.map(({ token }) => token)];
  if (rested && rested.goesOn(text) > 0 && parked?.claim(rested)) return rested;
  return reuse && forAll && !anew ? ((parked?.claimFor(text) as Residence | null | undefined) ?? null) : null;
}

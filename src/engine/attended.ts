// What a request reads of its prompt in several stretches, of which a preemption ends one.
import type { Attended } from "../attended.ts";

/** Their sum; null where there is none. Stretches of one prompt have the same parts. */
export const addAttended = (stretches: readonly (Attended | null)[]): Attended | null =>
  stretches.reduce((sum, each) => (sum && each ? plus(sum, each) : (sum ?? each)), null);

const plus = (a: Attended, b: Attended): Attended => ({
  partTokens: a.partTokens,
  chosen: a.chosen.map((count, i) => count + b.chosen[i]!),
  kept: a.kept.map((count, i) => count + b.kept[i]!),
  most: a.most + b.most,
  tokens: a.tokens + b.tokens,
});

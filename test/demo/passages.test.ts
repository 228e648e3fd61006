// What a reply read, passage by passage.

import { expect, test } from "playwright/test";
import { mostRead, passagesOf, strengthOf } from "../../demo/chat/passages.ts";
import type { Attended } from "../../src/index.ts";

/** Parts of 8 tokens that were chosen so often, of 10 times. */
const attended = (chosen: readonly number[], kept = chosen.map(() => 0)): Attended => ({
  partTokens: 8,
  chosen: Uint32Array.from(chosen),
  kept: Uint32Array.from(kept),
  most: 10,
  tokens: 5,
});

test("a passage is 32 tokens, picked as often as its parts were where they are not always there; the end is always read", () => {
  const passages = passagesOf(
    attended([1, 2, 3, 4, 0, 0, 0, 0, 10, 5, 5, 0], [0, 0, 0, 10, 0, 0, 2, 2, 0, 0, 0, 0]),
    130,
  );
  expect(passages).toEqual([
    { from: 0, to: 32, share: 10 / 30, whole: false },
    { from: 32, to: 64, share: 0, whole: false },
    { from: 64, to: 96, share: 20 / 40, whole: false },
    { from: 96, to: 130, share: 1, whole: true },
  ]);
  expect(mostRead(passages)).toBe(2);
  expect(passages.map((passage) => strengthOf(passage, passages))).toEqual([2 / 3, 0, 1, 1]);
});

test("a long text has longer passages, the last as long as what is left", () => {
  const parts = 4 * 250; // 8,000 tokens
  const passages = passagesOf(attended(Array.from({ length: parts }, (_, i) => (i === parts - 1 ? 9 : 3))), 8040);
  expect(passages.slice(0, 2).map(({ from, to }) => to - from)).toEqual([96, 96]);
  expect(passages.length).toBe(85);
  expect(passages.at(-2)).toEqual({ from: 83 * 96, to: 8000, share: (3 * 3 + 9) / 40, whole: false });
  expect(mostRead(passages)).toBe(83);
});

test("parts of a long reply that follow those of the prompt are left out", () => {
  const passages = passagesOf(attended([1, 2, 3, 4, 9, 9, 9, 9]), 45);
  expect(passages.map(({ from, to }) => [from, to])).toEqual([
    [0, 32],
    [32, 40],
    [40, 45],
  ]);
});

// How replies are sampled by default, how one that goes round in circles is noticed, and where thoughts end.

import { expect, test } from "playwright/test";
import { hub } from "../../demo/shared/hub.ts";
import { withoutThought } from "../../demo/shared/thoughts.ts";
import { loopWatch } from "../../demo/shared/loop.ts";
import { samplingFor } from "../../demo/shared/sampling.ts";
import type { Sampling } from "../../src/index.ts";
import { ggufChoices } from "../../src/io/files/choices.ts";

test("the files' own recommendation wins, then the card, then a cautious setting", () => {
  const greedy = { temperature: 0 };
  expect(samplingFor({ name: "x", sampling: { temperature: 0.9, topK: 5 } })).toEqual({ temperature: 0.9, topK: 5 });
  const named = (name: string): Sampling => samplingFor({ name, sampling: greedy });
  expect(named("HuggingFaceTB/SmolLM2-360M-Instruct")).toEqual({ temperature: 0.2, topP: 0.9 });
  expect(named("SmolLM2-135M-Instruct.Q4_1")).toEqual({ temperature: 0 });
  expect(samplingFor({ name: "Qwen/Qwen2.5-0.5B-Instruct", sampling: greedy })).toMatchObject({ topK: 20 });
  expect(samplingFor({ name: "something else", sampling: greedy }).temperature).toBeLessThanOrEqual(0.5);
});

test("the models that are offered are GGUF files of 4 bits whose cards say how to sample", () => {
  for (const { source, size } of hub) {
    const [, name] = /\/([^/]*)\.gguf$/.exec(String(source))!;
    expect(ggufChoices([{ path: `${name}.gguf`, bytes: 1 }], "", Infinity)).toMatchObject([{ precision: "Q4_K_M" }]);
    expect(size).toContain("4-bit");
    expect(samplingFor({ name: name!, sampling: { temperature: 0 } })).not.toEqual({ temperature: 0.5, topP: 0.9 });
  }
});

/** Index of the token at which the loop is noticed; -1: never. */
const noticedAt = (tokens: readonly number[]): number => {
  const watch = loopWatch();
  return tokens.findIndex((token) => watch(token));
};
const times = (count: number, part: readonly number[]): number[] => Array.from({ length: count }, () => part).flat();
const ramp = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

test("a loop is noticed, whatever its length; a list, a refrain and a row of dots are none", () => {
  expect(noticedAt([...ramp(1000, 50), ...times(90, [7])])).toBe(50 + 60);
  expect(noticedAt([...ramp(1000, 50), ...times(20, [1, 2, 3, 4, 5])])).toBe(50 + 60 + 4);
  expect(noticedAt([...ramp(1000, 50), ...times(5, ramp(0, 100))])).toBe(50 + 400 - 1);
  expect(noticedAt(Array.from({ length: 40 }, (_, i) => [1, 2, 100 + i, 3]).flat())).toBe(-1);
  expect(noticedAt([...times(3, ramp(0, 40)), ...ramp(500, 200)])).toBe(-1);
  expect(noticedAt([...ramp(0, 20), ...times(50, [7]), ...ramp(100, 20)])).toBe(-1);
});

test("thoughts are told from the answer, also while they are being written", () => {
  expect(withoutThought("<think>\na < b\n</think>\n\nYes.")).toEqual({ thought: "a < b", answer: "\n\nYes." });
  expect(withoutThought("<think>\nso far")).toEqual({ thought: "so far", answer: "" });
  expect(withoutThought("a < b\n</think>\n\nYes.")).toEqual({ thought: "a < b", answer: "\n\nYes." });
  expect(withoutThought("so far", true)).toEqual({ thought: "so far", answer: "" });
  expect(withoutThought("a < b\n</think>Yes.", true)).toEqual({ thought: "a < b", answer: "Yes." });
  expect(withoutThought("I <think> so.")).toEqual({ thought: "", answer: "I <think> so." });
});

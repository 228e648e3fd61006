// The command line with the engine and Fable.

import { readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import { command, type Outcome } from "./command.ts";
import { STORY } from "./visit.ts";

/** A prompt of Fable and its greedy continuation from an independent float64 run, as token ids. */
const [golden] = (
  JSON.parse(readFileSync("demo/models/fable/golden.json", "utf8")) as {
    cases: readonly [{ prompt: number[]; tokens: number[] }];
  }
).cases;

const start = (...args: string[]): Promise<Outcome> => command("start.mjs", args);

test("--tokens is the whole prompt; --json prints one line of JSON; the figures go to standard error", async () => {
  const line = `--tokens ${golden.prompt.join()} --json --max-tokens 3 --context 256`;
  const { code, out, err } = await start(...line.split(" "));
  expect({ code, lines: out.split("\n").length }, err).toEqual({ code: 0, lines: 2 });
  const answer = JSON.parse(out) as Record<string, unknown> & { stats: object; tokens: unknown; text: string };
  expect(Object.keys(answer)).toEqual(["text", "tokens", "logprobs", "promptTokens", "finish", "stats", "attended"]);
  const generation = ["promptTokens", "reusedTokens", "newTokens", "prefillMs", "decodeMs"];
  const rates = ["prefillTokensPerSecond", "decodeTokensPerSecond"];
  const engine = ["adapter", "loadMs", "weightBytes", "kvBytes", "scratchBytes", "kvBytesPerToken", "variants"];
  const counts = ["submits", "dispatches", "readbacks", "readbackBytes", "objectsCreated"];
  const all = [...generation, ...rates, ...engine, ...counts, "swiftkv"];
  expect(Object.keys(answer.stats)).toEqual(expect.arrayContaining(all));
  expect(answer).toMatchObject({
    promptTokens: golden.prompt,
    finish: "length",
    stats: { swiftkv: null, kvBytesPerToken: 2048 },
    tokens: golden.tokens.slice(0, 3),
  });
  expect(answer.text).toMatch(/^\w/);
  expect(err).toMatch(/^\[.* · load \d+ ms · \d+ prompt tokens in \d+ ms \(.* tok\/s\) · 3 new at .* ended by length/);
});

test("an error is one line on standard error and exit code 1", async () => {
  const { code, out, err } = await start("--prompt", STORY.repeat(4), "--context", "32");
  expect({ code, out }).toEqual({ code: 1, out: "" });
  // The engine's own words, and what helps here.
  expect(err).toMatch(
    /^longprompt: prompt: got \d+ tokens, want at most 31 [^\n]*larger context\. --context N gives it more room\.\n$/,
  );
});

for (const [what, args, message] of [
  [
    "a shape that the model cannot have",
    ["--swiftkv", "4,3"],
    /^longprompt: swiftkv\.group: got 3, want a divisor of 4/,
  ],
  ["a recipe that the engine does not know", ["--kv", "marble:bits=2"], /^longprompt: kv: [^\n]*marble/],
] as const) {
  test(`${what} is one line and exit code 1`, async () => {
    const { code, out, err } = await start("--prompt", STORY, ...args);
    expect({ code, out, lines: err.split("\n").length }).toEqual({ code: 1, out: "", lines: 2 });
    expect(err).toMatch(message);
  });
}

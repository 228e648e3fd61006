// The command line with the engine and Fable.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "playwright/test";
import { STORY } from "./visit.ts";

const START = join(import.meta.dirname, "../../demo/start.mjs");

const start = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [START, ...args], { timeout: 600_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
  });

test("--json prints one line of JSON; the figures go to standard error", async () => {
  const { code, out, err } = await start("--prompt", STORY, "--json", "--max-tokens", "3", "--context", "256");
  expect({ code, lines: out.split("\n").length }, err).toEqual({ code: 0, lines: 2 });
  const answer = JSON.parse(out) as Record<string, unknown> & { stats: object; tokens: unknown; text: string };
  expect(Object.keys(answer)).toEqual(["text", "tokens", "logprobs", "promptTokens", "finish", "stats"]);
  const generation = ["promptTokens", "reusedTokens", "newTokens", "prefillMs", "decodeMs"];
  const rates = ["prefillTokensPerSecond", "decodeTokensPerSecond"];
  const engine = [
    "adapter",
    "loadMs",
    "weightBytes",
    "kvBytes",
    "scratchBytes",
    "kvBytesPerToken",
    "variants",
    "swiftkv",
  ];
  const counts = ["submits", "dispatches", "readbacks", "readbackBytes", "objectsCreated"];
  expect(Object.keys(answer.stats).toSorted()).toEqual([...generation, ...rates, ...engine, ...counts].toSorted());
  expect(answer).toMatchObject({
    finish: "length",
    stats: { swiftkv: null, kvBytesPerToken: 2048 },
    tokens: [expect.any(Number), expect.any(Number), expect.any(Number)],
  });
  expect(answer.text).toMatch(/^\w/);
  expect(err).toMatch(/^\[.* · load \d+ ms · \d+ prompt tokens in \d+ ms \(.* tok\/s\) · 3 new at .* ended by length/);
});

test("an error is one line on standard error and exit code 1", async () => {
  const { code, out, err } = await start("--prompt", STORY.repeat(4), "--context", "32");
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(/^longprompt: prompt: \d+ tokens, want fewer than the context of 32\. [^\n]*--context\.\n$/);
});

test("--swiftkv K,G and --kv change what runs, and the figures say so", async () => {
  const line = ["--prompt", STORY, "--json", "--max-tokens", "3", "--context", "256"];
  const { code, out, err } = await start(...line, "--swiftkv", "4,2", "--kv", "int8");
  expect(code, err).toBe(0);
  // 6 caches of 2 heads: 32 bytes of K, 32 of V, and 8 for their scales and minima.
  const stats = { swiftkv: { layers: 4, group: 2 }, kvBytesPerToken: 6 * 2 * 72 };
  expect(JSON.parse(out)).toMatchObject({ stats });
  expect(err).toMatch(/ · SwiftKV: 4 of 8 layers read, 2 share a cache, untrained\]\n$/);
});

test("a shape that the model cannot have is one line and exit code 1", async () => {
  const { code, out, err } = await start("--prompt", STORY, "--swiftkv", "4,3");
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(/^longprompt: swiftkv\.group: got 3, want a divisor of 4[^\n]*\n$/);
});

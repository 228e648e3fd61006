// A prompt of 33,000 tokens in a context of 65,536, on a device with the limits that every adapter has.
import { expect } from "playwright/test";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { source, testWith } from "../../golden/serve.ts";
import { random } from "../../kernels/spec.ts";
import type { Far } from "./far.ts";
import { toy } from "./toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const VARIANT = "llama-gqa-tied";
const KV = "shadow:budget=256,chunk=8,outliers=8,values=int8";
const TOKENS = 33_000;

test("33,000 tokens are read in chunks and told of, stopped at any of them, and answered", async ({ harness }) => {
  harness.on("console", (message) => console.log(message.text()));
  const { model, golden } = toy(VARIANT);
  const { L, D, H, G, E, V } = model.shape;
  const uniform = random(5);
  const prompt = Array.from({ length: TOKENS }, () => Math.floor(uniform() * V));
  const options = { kv: KV, context: 65_536, chunk: 512, reserve: 2048, sequences: 1, arenaBytes: 2 ** 20 } as const;
  const setting = { address: source(VARIANT), options, prompt, count: 24 };
  const got = (await harness.evaluate(async (given) => {
    const { far } = (await import("/test/kv/shadow/far.ts" as string)) as typeof import("./far.ts");
    return far(given, console.log);
  }, setting)) as Far;
  expect([got.finish, got.stopped]).toEqual(["abort", [0, 512, 1024]]);
  // The blocks that were read before the stop are found.
  expect(got.progress[0]).toBeGreaterThanOrEqual(1024);
  expect(got.progress.at(-1)).toBe(TOKENS);
  for (const [i, done] of got.progress.slice(1).entries()) expect(done - got.progress[i]!).toBeLessThanOrEqual(512);
  expect(got.replies[1]!.reusedTokens).toBeGreaterThan(TOKENS - 64);
  expect(got.replies[1]!.tokens).toEqual(got.replies[0]!.tokens);
  expect(got.replies[0]!.tokens.length).toBe(24);
  expect(got.arenas).toBeGreaterThan(2);
  const kvModel = { hiddenSize: D, layers: L, heads: H, kvHeads: G, headWidth: E, windows: Array<number>(L).fill(0), context: 65_536, swiftkv: null }; // prettier-ignore
  const { peakBytes } = parseRecipe(KV).price(kvModel, TOKENS);
  expect(got.kvBytes.peak).toBe(peakBytes);
  expect(got.kvBytes.full).toBeGreaterThan(10 * got.kvBytes.loaded);
  expect(golden.config["max_position_embeddings"]).toBeLessThan(TOKENS); // what it says means nothing
});

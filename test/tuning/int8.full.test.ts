// Prompts through products in int8: near to those in f32, and nothing else where the browser's WGSL has none.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../golden/checkpoint.ts";
import { toFiles } from "../golden/folder.ts";
import { source, testWith } from "../golden/serve.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

test("int8Products rounds the rows of a text, and only where WGSL has such products", async ({ call }) => {
  const { prompt, greedy } = readGolden("llama3");
  const text = [...prompt, ...greedy.tokens];
  const tokens = Array.from({ length: 40 }, (_, i) => text[i % text.length]!);
  const options = { kv: "f32", weights: "q8", context: 64, chunk: 48 } as const;
  const { f32, int8, without, added } = await call("inInt8", source("llama3"), tokens, options);
  expect(added).toEqual(["gemm_int8", "quantise_rows"]);
  expect(int8.variants).toEqual({ "products of prompts": "int8" });
  const off = int8.logprobs.map((value, i) => Math.abs(value - f32.logprobs[i]!));
  expect(Math.max(...off)).toBeLessThan(0.1);
  expect(Math.max(...off)).toBeGreaterThan(1e-5); // they are rounded
  expect(without).toEqual(f32);
});

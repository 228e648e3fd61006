// Kernels of GPUs on small limits, and what becomes of a load where the device refuses some. They run on a device that says it
// is a GPU.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../golden/checkpoint.ts";
import { toFiles } from "../golden/folder.ts";
import { source, testWith } from "../golden/serve.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));
const { prompt, greedy } = readGolden("llama3");
const wanted = greedy.tokens.slice(0, 8);
const small = { kv: "f32", context: 128, chunk: 64 } as const;

test("kernels of GPUs run on WebGPU's default limits; a reply comes before anything is measured, and is the same after", async ({
  call,
}) => {
  const refused: [string, Record<string, number>][] = [["attn_prefill_tile", { WG: 128 }]];
  const { threads, tokens, chosen, kernels } = await call("asGpu", source("llama3"), prompt, { refused }, small);
  console.log(threads, JSON.stringify(chosen), kernels.join(" "));
  expect(threads).toBe(256);
  expect(tokens).toEqual([wanted, wanted]);
});

test("and on 128 threads in a workgroup", async ({ call }) => {
  const { threads, tokens, kernels } = await call(
    "asGpu",
    source("llama3"),
    prompt,
    { level: "compatibility" },
    { ...small, tune: "off" },
  );
  console.log(threads, kernels.join(" "));
  expect(threads).toBe(128);
  expect(tokens).toEqual([wanted]);
});

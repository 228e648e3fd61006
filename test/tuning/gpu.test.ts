// Kernels of GPUs on the least that WebGPU offers, in a browser that refuses some of them: a load, a reply while others are
// measured, and one after. They run on a device that says it is a GPU. More limits: gpu.full.test.ts.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../golden/checkpoint.ts";
import { toFiles } from "../golden/folder.ts";
import { source, testWith } from "../golden/serve.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));
const { prompt, greedy } = readGolden("llama3");

test("128 threads, 16 KiB, 8 buffers: the tokens of the reference, before and after something has been measured", async ({
  call,
}) => {
  const refused: [string, Record<string, number>][] = [["attn_prefill_tile", { WG: 128 }]];
  const asked = { level: "compatibility", refused } as const;
  const options = { kv: "f32", context: 128, chunk: 64 } as const;
  const { limits, tokens, chosen, kernels } = await call("asGpu", source("llama3"), prompt, asked, options);
  expect(limits).toEqual({ threads: 128, workgroupBytes: 16384, bindingBytes: 2 ** 27, buffers: 8 });
  expect(tokens).toEqual([greedy.tokens.slice(0, 8), greedy.tokens.slice(0, 8)]);
  expect(kernels).toEqual(
    expect.arrayContaining(["attn_prefill_tile 64", "gemm_packed", "gemv_deep", "qkv_deep", "qkv_packed"]),
  );
  expect(kernels.filter((name) => /regs|cols/.test(name))).toEqual([]);
  expect(Object.keys(chosen[1]!).length).toBeGreaterThan(Object.keys(chosen[0]!).length);
});

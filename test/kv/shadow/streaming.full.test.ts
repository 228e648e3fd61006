// Streamed students with small buffers, and one whose layers share stores: Fable, K 2 and groups of two.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith } from "../../golden/serve.ts";
import { random } from "../../kernels/spec.ts";
import { toy } from "./toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

test("layers that share a store, each choosing or the first for all: the tokens of whole prompts", async ({ call }) => {
  const uniform = random(1);
  const prompt = Array.from({ length: 173 }, () => 5 + Math.floor(4000 * uniform()));
  for (const select of ["layer", "group"]) {
    const kv = `f32+shadow:chunk=4,outliers=3,budget=16,local=16,values=f16,rank=full,select=${select}`;
    const replies = [];
    for (const each of [kv, `${kv},stream=off`]) {
      const options = { kv: each, context: 256, chunk: 64, swiftkv: { layers: 2, group: 2 } };
      await call("open", "fable", "/demo/models/fable/", options);
      replies.push((await call("answer", "fable", job(prompt, 30))).tokens);
      await call("close", "fable");
    }
    expect(replies[0], select).toEqual(replies[1]);
  }
});

test("buffers that are small and grow, inputs in f16: the tokens of whole prompts", async ({ call }) => {
  const { tokens } = toy("llama-swiftkv");
  const kv = "f16+shadow:chunk=4,outliers=3,budget=16,local=16,values=f16,rank=full";
  for (const each of [kv, `${kv},stream=off`])
    await call("open", each, source("llama-swiftkv"), {
      kv: each,
      context: 256,
      chunk: 64,
      arenaBytes: 2 ** 14,
      reserve: 64,
    });
  for (const length of [tokens.length, 40]) {
    const prompt = tokens.slice(0, length);
    const streamed = await call("answer", kv, job(prompt, 30));
    expect(streamed.tokens).toEqual((await call("answer", `${kv},stream=off`, job(prompt, 30))).tokens);
  }
  for (const each of [kv, `${kv},stream=off`]) await call("close", each);
});

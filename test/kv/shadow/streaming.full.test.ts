// A streamed student whose layers share stores: Fable, K 2 and groups of two.
import { expect } from "playwright/test";
import { test } from "../../page.ts";
import { job } from "../../golden/serve.ts";
import { random } from "../../kernels/spec.ts";

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

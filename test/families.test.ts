// Families beside Llama, Mistral and Qwen: from safetensors, as GGUF files, converted to SwiftKV; and what is refused.
import { expect } from "playwright/test";
import type { SwiftKv } from "../src/index.ts";
import { recipes, test } from "./families.ts";
import { readGolden } from "./golden/checkpoint.ts";
import { assumed } from "./golden/gguf.ts";
import { job, source, tolerance, worst } from "./golden/serve.ts";
import { student } from "./golden/student.ts";
import { score } from "./reference.ts";

test.describe.configure({ mode: "parallel" });

/** The shape that a family is converted to; null: it cannot be. */
const SHAPES: Readonly<Record<string, SwiftKv | null>> = {
  gemma3: { layers: 3, group: 2 }, // stores that are turned in two ways
  granite: { layers: 1, group: 2 },
  olmo2: null,
  smollm3: { layers: 2, group: 1 }, // one of the stores not at all
  phi3: { layers: 1, group: 1 },
  ministral3: { layers: 1, group: 2 },
};

for (const [variant, shape] of Object.entries(SHAPES)) {
  test(`${variant}: tokens of transformers; as a GGUF; as a student`, async ({ call }) => {
    const golden = readGolden(variant);
    const { prompt, greedy } = golden;
    await call("open", variant, source(variant), { kv: "f32", context: 96 });
    const got = await call("answer", variant, job(prompt, greedy.tokens.length));
    expect(got.tokens).toEqual(greedy.tokens);
    expect(worst(got.logprobs, greedy.logprobs)).toBeLessThan(tolerance(golden));
    expect(worst(await call("score", variant, prompt), golden.logprobs)).toBeLessThan(tolerance(golden));

    const scores = async (name: string) => (await call("score", name, prompt)).slice(1);
    if (shape) {
      await call("twin", "student", variant, shape);
      const want = score(student(variant, shape), prompt).subarray(1);
      expect(worst(await scores("student"), want), "student").toBeLessThan(tolerance(golden));
      await call("close", "student");
    }
    await call("open", variant, `${source(`${variant}@gguf`)}model.gguf`, { kv: "f32", context: 96 });
    const want = score(assumed(variant).model, prompt).subarray(1);
    expect(worst(await scores(variant), want), "GGUF").toBeLessThan(tolerance(golden));
    await call("close", variant);
  });
}

test("phi3-short: tokens of transformers", async ({ call }) => {
  const { prompt, greedy } = readGolden("phi3-short");
  await call("open", "short", source("phi3-short"), { kv: "f32", context: 96 });
  expect((await call("answer", "short", job(prompt, greedy.tokens.length))).tokens).toEqual(greedy.tokens);
  await call("close", "short");
});

recipes("smollm3");

test("what a family cannot do is refused by name", async ({ call }) => {
  const refused = (variant: string, options: object, message: RegExp) =>
    expect(call("open", "bad", source(variant), { context: 96, ...options })).rejects.toThrow(message);
  await refused("gemma3", { kv: "pyramid" }, /InputError: kv: pyramid; got a model whose layers see a window/);
  await refused(
    "olmo2",
    { swiftkv: { layers: 1, group: 1 } },
    /UnsupportedError: swiftkv: Olmo2ForCausalLM; got a model without norms before its blocks/,
  );
});

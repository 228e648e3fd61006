// VL-Cache on a toy model of texts against float64, and on models that see.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { fixture, questionOf, visionFiles } from "../../golden/vision.ts";
import { createModel } from "../../reference.ts";
import { vlReply } from "./rule.ts";

const test = testWith((name) =>
  name === "idefics3" || name === "smolvlm" ? visionFiles(name) : toFiles(makeCheckpoint(name), readGolden(name).dtype),
);

test("of a text, the tokens that its last queries look at stay, more in layers that look at more", async ({ call }) => {
  const golden = readGolden("llama-gqa-tied");
  const { config, tensors } = makeCheckpoint("llama-gqa-tied");
  const model = createModel(config, tensors);
  const text = [...golden.prompt, ...golden.prompt.toReversed(), ...golden.prompt.slice(7, 30)];
  const options = { keep: 0.25, window: 5 };
  await call("open", "vl", source("llama-gqa-tied"), { kv: "f32+vlcache:keep=0.25,window=5", context: 256, chunk: 48 });
  for (const length of [123, 107]) {
    const prompt = text.slice(0, length);
    const want = vlReply(model, prompt, 24, options);
    expect(want.margin, "weights of this prompt are too close to test with").toBeGreaterThan(tolerance(golden));
    const got = await call("answer", "vl", job(prompt, 24));
    expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
    expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(golden));
    expect(got.evictedTokens).toBe(length - Math.round(0.25 * length));
  }
  await call("close", "vl");
});

test("two at once, a second turn and an abort leave nothing behind", async ({ call }) => {
  const { prompt } = readGolden("llama-gqa-tied");
  const long = [...prompt, ...prompt.toReversed()];
  const jobs = [long, long.slice(3)].map((tokens) => job(tokens, 20));
  await call("open", "two", source("llama-gqa-tied"), {
    kv: "f32+vlcache:keep=0.3,window=10",
    context: 512,
    sequences: 2,
  });
  const alone = [];
  for (const each of jobs) alone.push(await call("answer", "two", each));
  const both = await call("answers", "two", jobs);
  expect(both.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
  for (const abortAfter of [-1, 1, 3])
    await call("answer", "two", { ...job([...long, 5 + abortAfter], 20), abortAfter });
  expect((await call("answer", "two", jobs[0]!)).tokens).toEqual(alone[0]!.tokens);
  await call("close", "two");
});

for (const name of ["idefics3", "smolvlm"] as const) {
  test(`${name}: everything kept is what transformers answers; a part answers, asked by the words behind the pictures`, async ({
    call,
  }) => {
    const golden = fixture[name];
    const ask = (keep: number, window: number) =>
      call("open", name, source(name), { kv: `f32+vlcache:keep=${keep},window=${window}`, context: 128 }).then(() =>
        call("answer", name, { prompt: questionOf(golden), options: { maxTokens: 24, ignoreEnd: true } }),
      );
    const all = await ask(1, 50);
    expect(all.tokens).toEqual(golden.greedy.tokens);
    expect(worst(all.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
    const some = await ask(0.3, 50);
    expect([some.tokens[0], some.evictedTokens > 0]).toEqual([golden.greedy.tokens[0], true]);
    const behind = golden.ids.length - 1 - golden.ids.lastIndexOf(3);
    expect((await ask(0.3, behind)).logprobs).toEqual(some.logprobs);
    expect((await ask(0.3, 1)).logprobs).not.toEqual(some.logprobs);
    await call("close", name);
  });
}

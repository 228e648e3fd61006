// Opening a saved session takes the time of a read: against computing its prompt, in the same run. Minutes on a CPU adapter.
import { expect } from "playwright/test";
import { random } from "./kernels/spec.ts";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import type { Harness } from "./harness.ts";
import { source, testWith } from "./golden/serve.ts";
import { toy } from "./kv/shadow/toy.ts";
import { skipWithout, SMOLLM2, SMOLLM2_GGUF } from "./material.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

test.describe("SmolLM2-135M-Instruct", () => {
  skipWithout(SMOLLM2, SMOLLM2_GGUF);
  const uniform = random(4);
  const prompt = Array.from({ length: 4096 }, () => 100 + Math.floor(uniform() * 40_000));

  test("a session of 4096 tokens is read, not computed", async ({ call }) => {
    const model = `/test-models/${SMOLLM2}/${SMOLLM2_GGUF}`;
    const got = await call("timed", model, { kv: "f16", context: 4608, chunk: 128 }, prompt);
    const ratio = (got.prefillMs / got.openMs).toFixed(0);
    console.log(
      `4096 tokens: computed in ${got.prefillMs.toFixed(0)} ms, saved in ${got.saveMs.toFixed(0)} ms (${got.bytes} bytes), opened in ${got.openMs.toFixed(0)} ms: ${ratio} times as fast`,
    );
    expect(got.resumed.slice(0, 2)).toEqual(got.tokens);
    expect(got.reusedTokens).toBe(4097);
  });
});

const SHADOW = "shadow:chunk=4,outliers=3,budget=16,local=16,reply=40";

for (const [variant, kv] of [
  ["llama-gqa-tied", "f32"],
  ["llama-gqa-tied", "int4"],
  ["llama-gqa-tied", `int8+${SHADOW},values=int4,keys=int8`],
  ["llama-gqa-tied", `${SHADOW},values=host-sync`],
  ["llama-swiftkv-g3", "f32+kivi:bits=8,recent=32"],
  ["llama-swiftkv-g3", `${SHADOW},values=f16`],
  ["llama-swiftkv-g3", `${SHADOW},values=f16,stream=off`],
] as const) {
  test(`${variant}, ${kv}: a reply goes on in another engine with the same tokens`, async ({ call }) => {
    const { tokens: prompt } = toy(variant);
    const samplings = [{}, { temperature: 1, seed: 3, repetitionPenalty: 1.2 }];
    for (const reply of await call("resumed", source(variant), { kv }, { prompt, cut: 60, more: 64 }, samplings))
      expect(reply.tokens).toEqual(reply.undisturbed);
  });
}

test("engines in workers: a reply goes on in another one with the same tokens", async ({ call }) => {
  const { tokens: prompt } = toy("llama-gqa-tied");
  const options = { kv: "f32", worker: true };
  const [reply] = await call("resumed", source("llama-gqa-tied"), options, { prompt, cut: 60, more: 64 }, [{}]);
  expect(reply!.tokens).toEqual(reply!.undisturbed);
  expect(reply!.reusedTokens).toBeGreaterThan(prompt.length);
});

test("a page that is closed while it saves leaves the session of before, or the new one", async ({ call, harness }) => {
  const prompt = { text: "Once upon a time there was a cat. ".repeat(20) };
  const model = "/demo/models/fable/";
  await call("savingOpen", "main", model, { kv: "f32" });
  const whole = await call("ask", "main", prompt, 30);
  await call("ask", "main", prompt, 5);
  await call("saveAs", "main", "a");
  for (const ms of [0, 5, 20, 60, 200]) {
    const [page] = await Promise.all([
      harness.waitForEvent("popup"),
      harness.evaluate(() => void window.open(location.href)),
    ]);
    await page.waitForFunction(() => "harness" in globalThis);
    await page.evaluate(
      async ([source, asked]) => {
        const { harness: own } = globalThis as unknown as { harness: Harness };
        await own.savingOpen("other", source, { kv: "f32" });
        await own.ask("other", asked, 12);
        void own.saveAs("other", "a");
      },
      [model, prompt] as const,
    );
    await new Promise((resolve) => setTimeout(resolve, ms));
    await page.close();
    const got = await call("openAndResume", "main", "a", 10);
    expect([5, 12]).toContain(got.before);
    expect(got.tokens).toEqual(whole.slice(0, got.before + 10));
  }
  await call("saveAs", "main", "a");
  expect((await call("openAndResume", "main", "a", 1)).left).toBe(1);
  await call("savingClose", "main");
});

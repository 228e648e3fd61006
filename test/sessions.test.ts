// Sessions that are saved, opened in another engine, and forked; beginnings of prompts that are kept. On toy models.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { source, testWith } from "./golden/serve.ts";
import { toy } from "./kv/shadow/toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const VARIANT = "llama-gqa-tied";
const STUDENT = "llama-swiftkv-g3";
const SHADOW = "shadow:chunk=4,outliers=3,budget=16,local=16,reply=40";

const SAMPLINGS = [{}, { temperature: 1, topP: 0.95, seed: 7, frequencyPenalty: 0.3 }];

for (const [variant, kv, rests] of [
  [VARIANT, "f16", false],
  [VARIANT, "f32", false],
  [VARIANT, "int8", false],
  [VARIANT, "f32+kivi:bits=4,recent=32", false],
  [VARIANT, "f32+pyramid:budget=50,window=8", true],
  [VARIANT, `${SHADOW},values=int8`, true],
  [VARIANT, `${SHADOW},values=host`, true],
  [STUDENT, "f16", false],
] as const) {
  test(`${variant}, ${kv}: a reply goes on in another engine with the same tokens, and reads what was there`, async ({
    call,
  }) => {
    const { tokens: prompt } = toy(variant);
    const replies = await call("resumed", source(variant), { kv }, { prompt, cut: 21, more: 64 }, SAMPLINGS);
    for (const reply of replies) {
      expect(reply.tokens).toEqual(reply.undisturbed);
      expect(reply.fresh).toEqual(reply.undisturbed.slice(21));
      expect(reply.savedTokens).toBe(prompt.length + 21);
      // All but the token that was sampled last, which nothing has computed yet.
      expect(reply.reusedTokens).toBe(prompt.length + 20);
      expect(reply.cachedTokens).toBe(prompt.length + 20);
      if (!rests) expect(reply.submits).toBe(64);
    }
    expect(replies[0]!.tokens).not.toEqual(replies[1]!.tokens);
  });
}

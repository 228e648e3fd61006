// ShadowKV on toy models, ordinary and SwiftKV, against float64 that looks at the same chunks.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel } from "../../reference.ts";
import { shadowReply, type ShadowOptions, type ShadowReply } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

/** A toy model, and 173 tokens for it. */
function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  const tokens = [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30), ...prompt];
  return { golden, model: createModel(config, tensors), tokens };
}

type Toy = ReturnType<typeof toy>;

/** What the reference says, and how far log-probabilities may be from it. */
interface Expected extends ShadowReply {
  prompt: readonly number[];
  allowed: number;
}

/**
 * Replies to prompts of two lengths. Rounding to f16 moves log-probabilities by so much, and a number near a tie may fall to
 * the other side; prompts where rounding moves a token, or what is brought back, are passed over.
 */
function expected({ golden, model, tokens }: Toy, count: number, options: Omit<ShadowOptions, "half">): Expected[] {
  const found: Expected[] = [];
  for (let length = tokens.length; found.length < 2 && length > 100; length -= 7) {
    const prompt = tokens.slice(0, length);
    const want = shadowReply(model, prompt, count, { ...options, half: true });
    const exact = shadowReply(model, prompt, count, { ...options, half: false });
    const moved = String([exact.missing, exact.tokens]) !== String([want.missing, want.tokens]);
    const allowed = tolerance(golden) + 2 * worst(exact.logprobs, want.logprobs);
    if (!moved && want.missing > 0) found.push({ ...want, prompt, allowed });
  }
  expect(found.length, "no prompt serves").toBe(2);
  return found;
}

const SETTINGS = { chunk: 4, outliers: 3, selected: 4, local: 16, select: "layer" } as const;
const TEXT = "f32+shadow:chunk=4,outliers=3,budget=16,local=16,values=f16";

for (const variant of ["llama-gqa-tied", "qwen3", "qwen2", "llama-swiftkv-g3"] as const) {
  for (const [rank, name] of [
    [1024, "full"],
    [8, "8"],
  ] as const) {
    test(`${variant}, rank ${name}: replies are those of the reference`, async ({ call }) => {
      const one = toy(variant);
      await call("open", "rank", source(variant), { kv: `${TEXT},rank=${name}`, context: 256, chunk: 64 });
      for (const { prompt, ...want } of expected(one, 16, { ...SETTINGS, rank })) {
        const got = await call("answer", "rank", job(prompt, 16));
        expect(got.tokens, `${prompt.length} tokens`).toEqual(want.tokens);
        expect(worst(got.logprobs, want.logprobs)).toBeLessThan(want.allowed);
        expect(got.evictedTokens).toBe(0);
      }
      await call("close", "rank");
    });
  }
}

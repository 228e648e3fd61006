// Toy models with Locret's heads, and the comparison with float64.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel } from "../../reference.ts";
import { addHeads, type LocretRule, locretReply } from "./rule.ts";

/** `name`, or `name@heads` with the tensors of its heads. */
function checkpointOf(name: string) {
  const [variant, heads] = name.split("@");
  const { config, tensors } = makeCheckpoint(variant!);
  if (heads) addHeads(tensors, createModel(config, tensors));
  return { config, tensors };
}

export const test = testWith((name) => toFiles(checkpointOf(name), readGolden(name.split("@")[0]!).dtype));

/** A toy model with heads, and 150 tokens for it, all different: equal ones have equal scores in the first layer. */
export function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = checkpointOf(`${variant}@heads`);
  const tokens = Array.from({ length: 150 }, (_, i) => (37 * i + 11) % 151);
  return { golden, model: createModel(config, tensors), tokens };
}

/** What the reference says, where no score that stays is so near to one that goes that rounding could swap them. */
export function expected({ model }: ReturnType<typeof toy>, prompt: readonly number[], count: number) {
  const reply = locretReply(model, prompt, count, RULE);
  expect(reply.margin, "the scores of this prompt are too close to test with").toBeGreaterThan(2 ** -20);
  return reply;
}

export const RULE: LocretRule = { budget: 40, stabilisers: 8, local: 20, chunk: 32 };
export const OPTIONS = "locret:budget=40,stabilisers=8,local=20";
export const KV = `f32+${OPTIONS}`;

/** Prompts of several lengths, each with what it costs. */
export function testReplies(variant: string): void {
  test(`${variant}: after each chunk the tokens with the highest scores stay`, async ({ call }) => {
    const one = toy(variant);
    await call("open", "locret", source(`${variant}@heads`), { kv: KV, context: 512, chunk: 40 });
    const { L, G, E } = one.model.shape;
    for (const length of [149, 123, 84]) {
      const prompt = one.tokens.slice(0, length);
      const want = expected(one, prompt, 12);
      const got = await call("answer", "locret", job(prompt, 12));
      expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
      const given = 32 * Math.floor((length - RULE.local) / 32);
      expect(got.evictedTokens).toBe(given - RULE.budget);
      expect(got.kvBytesPerToken).toBe((L * G * (length - given + RULE.budget) * 2 * E * 4) / length);
    }
    await call("close", "locret");
  });
}

// Locret on toy models against float64 that drops the same tokens after each chunk; how little memory a long prompt takes.
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

const test = testWith((name) => toFiles(checkpointOf(name), readGolden(name.split("@")[0]!).dtype));

/** A toy model with heads, and 150 tokens for it, all different: equal ones have equal scores in the first layer. */
function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = checkpointOf(`${variant}@heads`);
  const tokens = Array.from({ length: 150 }, (_, i) => (37 * i + 11) % 151);
  return { golden, model: createModel(config, tensors), tokens };
}

type Toy = ReturnType<typeof toy>;

/** What the reference says, where no score that stays is so near to one that goes that rounding could swap them. */
function expected({ golden, model }: Toy, prompt: readonly number[], count: number, rule: LocretRule) {
  const reply = locretReply(model, prompt, count, rule);
  expect(reply.margin, "the scores of this prompt are too close to test with").toBeGreaterThan(2 ** -20);
  expect(golden.float32Gap).toBeGreaterThan(0);
  return reply;
}

const RULE: LocretRule = { budget: 40, stabilisers: 8, local: 20, chunk: 32 };
const KV = "f32+locret:budget=40,stabilisers=8,local=20";

for (const variant of ["llama-gqa-tied", "qwen3"]) {
  test(`${variant}: after each chunk the tokens with the highest scores stay`, async ({ call }) => {
    const one = toy(variant);
    await call("open", "locret", source(`${variant}@heads`), { kv: KV, context: 512, chunk: 40 });
    const { L, G, E } = one.model.shape;
    for (const length of [149, 123, 84]) {
      const prompt = one.tokens.slice(0, length);
      const want = expected(one, prompt, 12, RULE);
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

// LESS on toy models with seeded maps, against float64; whose state it is; what it costs. Saved sessions: sessions.test.ts here.
import { expect } from "playwright/test";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { random } from "../../kernels/spec.ts";
import { lessFiles, lessReply, options, toy } from "./rule.ts";

const test = testWith(lessFiles);

type Toy = ReturnType<typeof toy>;

const RULE = options(44, 12);
const RECIPE = "less:budget=44,window=12";

/** What the reference says. No two scores that decide are so near that rounding could swap them, and the state matters. */
function expected({ golden, model }: Toy, prompt: readonly number[], count: number) {
  const reply = lessReply(model, prompt, count, RULE);
  expect(reply.margin, "the scores of this prompt are too close to test with").toBeGreaterThan(tolerance(golden));
  return reply;
}

for (const variant of ["llama-gqa-tied", "qwen3"] as const) {
  test(`${variant}: what a prompt gives up stands in a state`, async ({ call }) => {
    const one = toy(variant);
    const { L, G, E } = one.model.shape;
    await call("open", "less", source(`${variant}@less`), { kv: `f32+${RECIPE}`, context: 256, chunk: 48 });
    for (const length of [123, 97, 70]) {
      const prompt = one.tokens.slice(0, length);
      const want = expected(one, prompt, 30);
      expect(want.share).toBeGreaterThan(0.1);
      const got = await call("answer", "less", job(prompt, 30));
      expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
      expect(got.evictedTokens).toBe(0);
      expect(got.kvBytesPerToken).toBe((L * G * (44 * 2 * E + 8 * (E + 1)) * 4) / length);
    }
    await call("close", "less");
  });
}

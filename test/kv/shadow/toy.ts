// Toy models, and prompts for them whose replies f32 and float64 agree on.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { tolerance, worst } from "../../golden/serve.ts";
import { createModel } from "../../reference.ts";
import { type ShadowOptions, type ShadowReply, shadowReply } from "./rule.ts";

/** A toy model, and 173 tokens for it. */
export function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  const tokens = [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30), ...prompt];
  return { golden, model: createModel(config, tensors), tokens };
}

export type Toy = ReturnType<typeof toy>;

/** What the reference says, and how far log-probabilities may be from it. */
export interface Expected extends ShadowReply {
  prompt: readonly number[];
  allowed: number;
}

/**
 * Replies to prompts of `wanted` lengths. Rounding what is stored moves log-probabilities by so much, and a number near a tie
 * may fall to the other side; prompts where rounding moves a token, or what is brought back, are passed over.
 */
export function expected(
  { golden, model, tokens }: Toy,
  count: number,
  options: Omit<ShadowOptions, "stored">,
  { keys = "f16", wanted = 2 }: { keys?: "f16" | "int8"; wanted?: number } = {},
): Expected[] {
  const found: Expected[] = [];
  for (let length = tokens.length; found.length < wanted && length > 100; length -= 7) {
    const prompt = tokens.slice(0, length);
    const want = shadowReply(model, prompt, count, { ...options, stored: { keys, values: "f16" } });
    const exact = shadowReply(model, prompt, count, { ...options, stored: null });
    const moved = String([exact.missing, exact.tokens]) !== String([want.missing, want.tokens]);
    const allowed = tolerance(golden) + 2 * worst(exact.logprobs, want.logprobs);
    if (!moved && want.missing > 0) found.push({ ...want, prompt, allowed });
  }
  expect(found.length, "no prompt serves").toBe(wanted);
  return found;
}

// What the tests of the engine share: requests, and what becomes of them.
import { TokenEngine } from "../../src/engine/engine.ts";
import type { Request } from "../../src/engine/sequence.ts";
import { GREEDY } from "../../src/model/model.ts";
import { random } from "../kernels/spec.ts";
import { FakeModel, type FakeOptions } from "./fake.ts";

export const request = (prompt: readonly number[], maxTokens = 20, more: Partial<Request> = {}): Request => ({
  prompt,
  maxTokens,
  endTokens: new Set(),
  sampling: GREEDY,
  ...more,
});

export const words = (seed: number, length: number, vocabulary = 97): number[] => {
  const uniform = random(seed);
  return Array.from({ length }, () => Math.floor(uniform() * vocabulary));
};

export async function collect(engine: TokenEngine, wanted: Request, signal?: AbortSignal) {
  const run = engine.generate(wanted, signal);
  const tokens: number[] = [];
  for await (const { token } of run) tokens.push(token);
  return { tokens, finish: run.finish, reusedTokens: run.reusedTokens };
}

export function make(options: FakeOptions = {}) {
  const model = new FakeModel(options);
  return { model, engine: new TokenEngine(model) };
}

/** Resolves as the model is given step number `step`. */
export const stepReached = (model: FakeModel, step: number): Promise<void> =>
  new Promise((resolve) => {
    const others = model.onStep;
    model.onStep = (now) => {
      others(now);
      if (now === step) resolve();
    };
  });

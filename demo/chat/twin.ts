// The same weights run dense or as SwiftKV: switching between the two, timing a first token. No DOM.

import { convert } from "../../src/index.ts";
import type { Engine, Message, Prompt, Session, SwiftKv } from "../../src/index.ts";
import { SAMPLE_QUESTION, sampleText } from "./sample.ts";

/** How a model is run. */
export interface RunMode {
  /** null = dense: every token through every layer. */
  swiftkv: SwiftKv | null;
  kv: string;
}

/** An engine on the same weights that runs `mode`. It replaces `engine`, whose cache is freed. */
export async function turn(engine: Engine, { swiftkv, kv }: RunMode, signal?: AbortSignal): Promise<Engine> {
  const twin = await convert(engine, swiftkv ?? false, { kv, ...(signal ? { signal } : {}) });
  engine.dispose();
  return twin;
}

/** Caches that a model of so many layers keeps for each token. */
export const cachesOf = (swiftkv: SwiftKv | null, layers: number): number =>
  swiftkv ? swiftkv.layers + (layers - swiftkv.layers) / swiftkv.group : layers;

/** How many of the later layers can share a cache. */
export const groupsOf = (own: number, layers: number): number[] =>
  [1, 2, 4].filter((group) => (layers - own) % group === 0);

export interface FirstToken {
  milliseconds: number;
  promptTokens: number;
}

/** Times the first token of a prompt that is not in the engine's cache. */
export async function firstToken(
  engine: Engine,
  session: Session,
  prompt: Prompt,
  { signal, onPrefill }: { signal: AbortSignal; onPrefill: (done: number, total: number) => void },
): Promise<FirstToken> {
  // Warm-up: a new engine's first run includes one-time work. Reversed, so that nothing of the prompt is cached.
  const warmup = engine.tokenize(SAMPLE_QUESTION).toReversed();
  await session.generate({ tokens: warmup }, { maxTokens: 1, signal }).result;
  const { stats } = await session.generate(prompt, { maxTokens: 1, signal, onPrefill }).result;
  signal.throwIfAborted();
  return { milliseconds: stats.prefillMs, promptTokens: stats.promptTokens };
}

/** With a shorter prompt, most of the time to the first token does not depend on the prompt's length. */
const SHORT_TOKENS = 256;

/** The last question with everything before it, or a built-in text where that is short. */
export function comparisonPrompt(
  engine: Engine,
  messages: readonly Message[],
  write: (messages: readonly Message[]) => Prompt,
): { prompt: Prompt; builtIn: boolean } {
  const asked = messages.slice(0, messages.findLastIndex((message) => message.role === "user") + 1);
  if (asked.length > 0 && lengthOf(engine, write(asked)) >= SHORT_TOKENS)
    return { prompt: write(asked), builtIn: false };
  const words = Math.min(engine.stats().adapter.software ? 850 : 3400, engine.model.context / 2.4);
  const content = `${sampleText(words)}\n${SAMPLE_QUESTION}`;
  return { prompt: write([{ role: "user", content }]), builtIn: true };
}

function lengthOf(engine: Engine, prompt: Prompt): number {
  if ("tokens" in prompt) return prompt.tokens.length;
  return engine.tokenize("text" in prompt ? prompt.text : engine.render(prompt.messages)).length;
}

// The same weights run dense or as SwiftKV: switching between the two, fitting a student, holding it against the model
// that it stands for. No DOM.

import { convert, saveStudent } from "../../src/index.ts";
import { trainedFor } from "../shared/trained.ts";
import type { Turn } from "../shared/turn.ts";
import type { CalibrationProgress, Engine, Prompt, SwiftKv } from "../../src/index.ts";
import { divergence, likeliest, mean } from "../quality/metrics.ts";
import { SAMPLE_QUESTION, SAMPLE_REPLY, sampleText } from "./sample.ts";
import type { Student } from "./shelf.ts";

/** How a model is run. */
export interface RunMode {
  /** null = dense: every token through every layer. */
  swiftkv: SwiftKv | null;
  kv: string;
  /** The projections of the later layers; null = the checkpoint's own, or the model's weights as they are. */
  student: Student | null;
}

/** Measurements of different shapes, students and formats are kept apart. */
export const keyOf = ({ swiftkv, kv, student }: RunMode): string =>
  [kv, ...(swiftkv ? [swiftkv.layers, swiftkv.group, student?.id ?? "unfitted"] : [])].join(" ");

/** An engine on the same weights that runs `mode`. It replaces `engine`, whose cache is freed. */
export async function turn(engine: Engine, { swiftkv, kv, student }: RunMode, signal?: AbortSignal): Promise<Engine> {
  const options = {
    kv,
    trained: trainedFor(kv, engine.model),
    ...(swiftkv && student ? { student: student.source } : {}),
    ...(signal ? { signal } : {}),
  };
  const twin = await convert(engine, swiftkv ?? false, options);
  engine.dispose();
  return twin;
}

/** Fits a student of this shape to a text; the engine that runs it replaces `engine`, as `turn` does. */
export async function fit(
  engine: Engine,
  { swiftkv, kv }: RunMode & { swiftkv: SwiftKv },
  text: string,
  options: { signal: AbortSignal; onProgress: (progress: CalibrationProgress) => void },
): Promise<{ engine: Engine; file: File }> {
  const twin = await convert(engine, swiftkv, { kv, calibrate: text, ...options });
  engine.dispose();
  return { engine: twin, file: new File([await saveStudent(twin)], "student.safetensors") };
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

/** A prompt and how a reply to it begins, in tokens. */
export interface Trial {
  prompt: number[];
  reply: number[];
  /** Not from the conversation. */
  builtIn: boolean;
}

/** What an engine makes of a trial. */
export interface Reading {
  first: FirstToken;
  /** [reply][V] before each token of the reply */
  logits: Float32Array[];
}

/** Reads the prompt anew, then the reply token by token. */
export async function readTrial(
  engine: Engine,
  { prompt, reply }: Trial,
  options: { signal: AbortSignal; onPrefill: (done: number, total: number) => void },
): Promise<Reading> {
  // Warm-up: a new engine's first run includes one-time work.
  await engine.evaluate(prompt.slice(0, 32), reply.slice(0, 1), { signal: options.signal });
  const logits: Float32Array[] = [];
  const onLogits = (each: Float32Array): void => void logits.push(each);
  const { prefillMs } = await engine.evaluate(prompt, reply, { ...options, onLogits });
  return { first: { milliseconds: prefillMs, promptTokens: prompt.length }, logits };
}

/** How close a student comes to its model on one reply. */
export interface Likeness {
  tokens: number;
  /** Of them, those before which both hold the same token for the likeliest. */
  same: number;
  /** KL(dense‖student) in nats a token. */
  kl: number;
}

export function likenessOf(dense: Reading, student: Reading): Likeness {
  const pairs = dense.logits.map((logits, i) => [logits, student.logits[i]!] as const);
  return {
    tokens: pairs.length,
    same: pairs.filter(([a, b]) => likeliest(a) === likeliest(b)).length,
    kl: mean(pairs.map(([a, b]) => divergence(a, b))),
  };
}

/** With a shorter prompt, most of the time to the first token does not depend on the prompt's length. */
const SHORT_TOKENS = 256;
/** Of a reply, as many as are looked at. */
const REPLY_TOKENS = 32;

/** The last question that was answered, with everything before it; a built-in text where that is short. */
export function trialOf(
  engine: Engine,
  messages: readonly Turn[],
  write: (messages: readonly Turn[]) => Prompt,
): Trial {
  const answered = messages.findLastIndex(({ role, content }) => role === "assistant" && content.trim() !== "");
  const own = answered > 0 ? tokensOf(engine, write(messages.slice(0, answered))) : [];
  if (own.length >= SHORT_TOKENS)
    return { prompt: own, reply: beginning(engine, messages[answered]!.content), builtIn: false };
  const words = Math.min(engine.stats().adapter.software ? 850 : 3400, engine.model.context / 2.4);
  const content = `${sampleText(words)}\n${SAMPLE_QUESTION}`;
  const prompt = tokensOf(engine, write([{ role: "user", content }]));
  return { prompt, reply: beginning(engine, SAMPLE_REPLY), builtIn: true };
}

const beginning = (engine: Engine, text: string): number[] =>
  engine.tokenize(text, { addSpecial: false }).slice(0, REPLY_TOKENS);

function tokensOf(engine: Engine, prompt: Prompt): number[] {
  if ("tokens" in prompt) return [...prompt.tokens];
  if ("text" in prompt) return engine.tokenize(prompt.text);
  return engine.tokenize(engine.render(prompt.messages), { addSpecial: false });
}

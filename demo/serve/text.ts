// `/v1/completions`: texts that go on, without a chat template, in the shape of OpenAI's interface.

import { InputError, SAMPLING_FIELDS } from "../../src/index.ts";
import type { CompletionUsage, Engine, GenerateOptions, Generation, GenerationResult } from "../../src/index.ts";

/** A request as it comes: fields that are not known are refused. */
export type TextRequest = Readonly<Record<string, unknown>> & { prompt?: unknown; stream?: boolean | null };

/** Default of max_tokens, as OpenAI's. */
const LENGTH = 16;

const OTHERS = ["model", "prompt", "max_tokens", "stop", "stream", "stream_options", "n"];

interface TextChoice {
  index: number;
  text: string;
  finish_reason: "stop" | "length" | null;
  logprobs: null;
}

interface TextCompletion {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: TextChoice[];
  usage?: CompletionUsage | null;
}

/** The completion, or its chunks. Throws InputError naming a field that is not possible. */
export async function completeText(
  engine: Engine,
  request: TextRequest,
  signal: AbortSignal,
): Promise<TextCompletion | AsyncIterable<TextCompletion>> {
  const prompt = promptOf(engine, request);
  const options = { ...engine.model.sampling, ...optionsOf(request), signal };
  const session = engine.session();
  const generation = session.generate(prompt, options);
  generation.result.then(
    () => session.dispose(),
    () => session.dispose(),
  );
  const created = Math.floor(Date.now() / 1000);
  const head = {
    id: `cmpl-${crypto.randomUUID()}`,
    object: "text_completion" as const,
    created,
    model: engine.model.name,
  };
  if (request.stream) return chunksOf(generation, head, request, signal);
  const result = await generation.result;
  signal.throwIfAborted();
  return { ...head, choices: [{ ...ending(result), text: result.text }], usage: usageOf(result) };
}

const wrong = (field: string, got: unknown, want: string): InputError =>
  new InputError(`completions: ${field}; got ${JSON.stringify(got)?.slice(0, 80)}, want ${want}. Change the request.`);

function promptOf(engine: Engine, request: TextRequest): { text: string } | { tokens: number[] } {
  for (const [field, value] of Object.entries(request))
    if (!Object.hasOwn(SAMPLING_FIELDS, field) && !OTHERS.includes(field) && value !== null)
      throw wrong(field, value, "it left out: this server does not have it");
  const { model, n, prompt } = request;
  if (model !== undefined && model !== engine.model.name) throw wrong("model", model, `"${engine.model.name}"`);
  if ((n ?? 1) !== 1) throw wrong("n", n, "1");
  if (typeof prompt === "string") return { text: prompt };
  if (Array.isArray(prompt) && prompt.every((token) => typeof token === "number")) return { tokens: prompt };
  throw wrong("prompt", prompt, "a text, or token ids");
}

function optionsOf(request: TextRequest): GenerateOptions {
  const given = Object.entries(SAMPLING_FIELDS).map(([theirs, ours]) => [ours, request[theirs] ?? undefined] as const);
  const stop = request["stop"] ?? [];
  return {
    ...(Object.fromEntries(given.filter(([, value]) => value !== undefined)) as GenerateOptions),
    maxTokens: (request["max_tokens"] as number | null | undefined) ?? LENGTH,
    stop: [stop].flat() as string[],
  };
}

const ending = ({ finish }: GenerationResult): Omit<TextChoice, "text"> => ({
  index: 0,
  finish_reason: finish === "length" ? "length" : "stop",
  logprobs: null,
});

const usageOf = ({ stats: { promptTokens, newTokens, reusedTokens } }: GenerationResult): CompletionUsage => ({
  prompt_tokens: promptTokens,
  completion_tokens: newTokens,
  total_tokens: promptTokens + newTokens,
  prompt_tokens_details: { cached_tokens: reusedTokens },
  completion_tokens_details: { reasoning_tokens: 0 },
});

async function* chunksOf(
  generation: Generation,
  head: Omit<TextCompletion, "choices">,
  { stream_options: asked }: TextRequest,
  signal: AbortSignal,
): AsyncGenerator<TextCompletion, void> {
  for await (const { text } of generation)
    if (text !== "") yield { ...head, choices: [{ index: 0, text, finish_reason: null, logprobs: null }] };
  const result = await generation.result;
  signal.throwIfAborted();
  yield { ...head, choices: [{ ...ending(result), text: "" }] };
  const counted = (asked as { include_usage?: boolean } | null | undefined)?.include_usage === true;
  if (counted) yield { ...head, choices: [], usage: usageOf(result) };
}

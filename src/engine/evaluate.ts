// A given reply, run as if it had been sampled: what a model with its cache thinks of it.
import type { EvaluateOptions, Evaluation } from "../api.ts";
import { InputError } from "../errors.ts";
import { GREEDY } from "../model/model.ts";
import type { TokenEngine } from "./engine.ts";

/**
 * Reads the prompt as a generation does (in chunks, what the recipe compresses at its end included), then decodes the
 * tokens of the continuation one by one through the cache as it then is. Nothing is reused of earlier prompts. Throws
 * InputError, before any work, for what does not fit; rejects with the signal's reason.
 */
export async function evaluate(
  engine: TokenEngine,
  prompt: readonly number[],
  continuation: readonly number[],
  { onLogits, onPrefill, signal }: EvaluateOptions,
): Promise<Omit<Evaluation, "kvBytesPerToken">> {
  if (continuation.length === 0)
    throw new InputError("continuation: got no tokens, want at least 1.", { code: "bad-prompt" });
  signal?.throwIfAborted();
  const started = performance.now();
  const request = {
    prompt,
    maxTokens: continuation.length,
    forced: continuation,
    reuse: false,
    endTokens: new Set<number>(),
    sampling: GREEDY,
    ...(onLogits && { onLogits }),
    ...(onPrefill && { onPrefill }),
  };
  const run = engine.generate(request, signal);
  const logprobs = new Float32Array(continuation.length);
  let firstAt = started;
  let count = 0;
  for await (const { logprob } of run) {
    if (count === 0) firstAt = performance.now();
    logprobs[count++] = logprob;
  }
  if (run.finish === "abort") throw signal?.reason ?? new DOMException("evaluate: stopped", "AbortError");
  return { logprobs, prefillMs: firstAt - started, decodeMs: performance.now() - firstAt };
}

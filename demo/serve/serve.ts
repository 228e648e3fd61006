// The page behind `npm run serve`: one engine, and the requests that the server hands it.

import { InputError, load } from "../../src/index.ts";
import type { ChatCompletionRequest, Engine, LoadOptions } from "../../src/index.ts";
import { failure, type Failure, showLoading } from "../shared/loading.ts";
import { nameAt, trainedFor } from "../shared/trained.ts";
import { completeText, type TextRequest } from "./text.ts";

/** `caller`: it is the request that is wrong. */
type Failed = { error: Failure & { caller: boolean } };

declare global {
  interface Window {
    openServed(source: string, options: LoadOptions): Promise<{ model: string } | Failed>;
    /** `answer` null: its chunks have been emitted. */
    runServed(id: number, kind: "chat" | "text", body: object): Promise<{ answer: object | null } | Failed>;
    stopServed(id: number): void;
    /** Given by the command. */
    emitChunk(id: number, chunk: object): Promise<void>;
  }
}

let engine: Engine;
const running = new Map<number, AbortController>();

const failed = (error: unknown): Failed => ({
  error: { ...failure(error), caller: error instanceof InputError },
});

window.openServed = async (source, options) => {
  try {
    const trained = trainedFor(String(options.kv ?? ""), { name: nameAt(source) }, "..");
    engine = await load(source, { trained, ...options, onProgress: showLoading() });
    return { model: engine.model.name };
  } catch (error) {
    return failed(error);
  }
};

window.runServed = async (id, kind, body) => {
  const stop = new AbortController();
  running.set(id, stop);
  try {
    const answer = await answerOf(kind, body, stop.signal);
    if (!(Symbol.asyncIterator in answer)) return { answer };
    for await (const chunk of answer) await window.emitChunk(id, chunk);
    return { answer: null };
  } catch (error) {
    return failed(error);
  } finally {
    running.delete(id);
  }
};

function answerOf(kind: "chat" | "text", body: object, signal: AbortSignal): Promise<object | AsyncIterable<object>> {
  if (kind === "chat") return engine.chat.completions.create(body as ChatCompletionRequest, { signal });
  return completeText(engine, body as TextRequest, signal);
}

window.stopServed = (id) => running.get(id)?.abort();

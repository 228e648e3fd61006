// The entry `longprompt/ai-sdk`: a loaded engine as a language model of the AI SDK (`ai`, specification v4).
import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4Warning,
} from "@ai-sdk/provider";
import type { ChatCompletionChunk, CompletionFinish, CompletionUsage, Engine, ToolCall } from "../api.ts";
import { requestOf } from "./prompt.ts";

/** For `streamText({ model: languageModel(engine), … })` and its kin. */
export const languageModel = (engine: Pick<Engine, "model" | "chat">): LanguageModelV4 => ({
  specificationVersion: "v4",
  provider: "longprompt",
  modelId: engine.model.name,
  supportedUrls: {},

  async doGenerate(options: LanguageModelV4CallOptions) {
    const { request, warnings } = requestOf(options);
    const answer = await engine.chat.completions.create({ ...request, stream: false }, signalOf(options));
    const [choice] = answer.choices;
    const { content, reasoning_content: thought, tool_calls = [] } = choice!.message;
    const parts: LanguageModelV4Content[] = [
      ...(thought ? [{ type: "reasoning" as const, text: thought }] : []),
      ...(content ? [{ type: "text" as const, text: content }] : []),
      ...tool_calls.map(callOf),
    ];
    const response = { id: answer.id, timestamp: new Date(answer.created * 1000), modelId: answer.model };
    const finishReason = reasonOf(choice!.finish_reason);
    return { content: parts, finishReason, usage: usageOf(answer.usage), warnings, response };
  },

  async doStream(options: LanguageModelV4CallOptions) {
    const { request, warnings } = requestOf(options);
    const asked = { ...request, stream: true, stream_options: { include_usage: true } } as const;
    const chunks = await engine.chat.completions.create(asked, signalOf(options));
    return { stream: streamOf(partsOf(chunks, warnings)) };
  },
});

const signalOf = ({ abortSignal }: LanguageModelV4CallOptions) => (abortSignal ? { signal: abortSignal } : {});

/** One thought and one text, their ids. */
const IDS = { reasoning: "0", text: "1" } as const;

async function* partsOf(
  chunks: AsyncIterable<ChatCompletionChunk>,
  warnings: SharedV4Warning[],
): AsyncGenerator<LanguageModelV4StreamPart, void> {
  yield { type: "stream-start", warnings };
  const writer = new PartWriter();
  let reason: CompletionFinish = "stop";
  let first = true;
  for await (const { id, created, model, choices, usage } of chunks) {
    if (first) yield { type: "response-metadata", id, timestamp: new Date(created * 1000), modelId: model };
    first = false;
    for (const { delta, finish_reason } of choices) {
      reason = finish_reason ?? reason;
      if (delta.reasoning_content) yield* writer.write("reasoning", delta.reasoning_content);
      if (delta.content) yield* writer.write("text", delta.content);
      for (const call of delta.tool_calls ?? []) yield* callParts(call);
    }
    if (!usage) continue;
    yield* writer.end();
    yield { type: "finish", usage: usageOf(usage), finishReason: reasonOf(reason) };
  }
}

/** Thought and text, each between its start and its end. */
class PartWriter {
  #open: keyof typeof IDS | null = null;

  *write(kind: keyof typeof IDS, delta: string): Generator<LanguageModelV4StreamPart, void> {
    const id = IDS[kind];
    if (this.#open !== kind) {
      yield* this.end();
      yield { type: `${kind}-start`, id };
    }
    this.#open = kind;
    yield { type: `${kind}-delta`, id, delta };
  }

  *end(): Generator<LanguageModelV4StreamPart, void> {
    if (this.#open) yield { type: `${this.#open}-end`, id: IDS[this.#open] };
    this.#open = null;
  }
}

function* callParts(call: ToolCall): Generator<LanguageModelV4StreamPart, void> {
  const { id } = call;
  yield { type: "tool-input-start", id, toolName: call.function.name };
  yield { type: "tool-input-delta", id, delta: call.function.arguments };
  yield { type: "tool-input-end", id };
  yield callOf(call);
}

const callOf = ({ id, function: { name, arguments: input } }: ToolCall) => ({
  type: "tool-call" as const,
  toolCallId: id,
  toolName: name,
  input,
});

const reasonOf = (raw: CompletionFinish): LanguageModelV4FinishReason => ({
  unified: raw === "tool_calls" ? "tool-calls" : raw,
  raw,
});

function usageOf({ prompt_tokens, completion_tokens, ...details }: CompletionUsage): LanguageModelV4Usage {
  const { cached_tokens } = details.prompt_tokens_details;
  const { reasoning_tokens: reasoning } = details.completion_tokens_details;
  const noCache = prompt_tokens - cached_tokens;
  return {
    inputTokens: { total: prompt_tokens, noCache, cacheRead: cached_tokens, cacheWrite: undefined },
    outputTokens: { total: completion_tokens, text: completion_tokens - reasoning, reasoning },
  };
}

/** Cancelling the stream ends the iteration, and with it the reply. */
function streamOf<T>(parts: AsyncGenerator<T, void>): ReadableStream<T> {
  return new ReadableStream<T>({
    async pull(controller) {
      const { value, done } = await parts.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await parts.return();
    },
  });
}

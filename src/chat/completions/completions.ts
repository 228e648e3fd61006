// `engine.chat.completions`: requests in OpenAI's shape, answered by sessions.
import type { ChatPrompt, ModelInfo, Session } from "../../api.ts";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatCompletions,
  CompletionDelta,
  CompletionUsage,
  LogprobEntry,
  RequestOptions,
  ToolCall,
} from "../../completions.ts";
import { Feed } from "../../engine/feed.ts";
import { InputError } from "../../errors.ts";
import type { CompiledConstraint } from "../../grammar/constraint.ts";
import type { ChatTemplate } from "../../text/chat.ts";
import type { Speaker } from "../session.ts";
import { formatOf } from "../tools/formats.ts";
import { plainMessages } from "../parts.ts";
import { promptOf } from "../tools/prompt.ts";
import { Choice, type Piece } from "./choice.ts";
import { callingOf, checkRequest, countOf, optionsOf, shapeOf } from "./request.ts";

export interface Host {
  model: Pick<ModelInfo, "name" | "sampling">;
  speaker: Speaker;
  session: () => Pick<Session, "generate">;
}

/** The replies of a request under way. */
interface Answer {
  choices: Choice[];
  head: { id: string; created: number; model: string };
  /** Ends all of them. */
  stop: AbortController;
}

export class Completions implements ChatCompletions {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  create(
    request: ChatCompletionRequest & { stream: true },
    options?: RequestOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  create(request: ChatCompletionRequest & { stream?: false | null }, options?: RequestOptions): Promise<ChatCompletion>;
  create(
    request: ChatCompletionRequest,
    options?: RequestOptions,
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>>;
  async create(
    request: ChatCompletionRequest,
    { signal }: RequestOptions = {},
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>> {
    signal?.throwIfAborted();
    const answer = await this.#start(request, signal);
    return request.stream ? streamed(answer, request, signal) : gathered(answer, signal);
  }

  async #start(request: ChatCompletionRequest, signal: AbortSignal | undefined): Promise<Answer> {
    const { model, speaker, session } = this.#host;
    checkRequest(request, model.name);
    const count = countOf(request);
    const template = templateOf(speaker.template);
    const calling = callingOf(request, formatOf(template.source));
    const options = optionsOf(request, model.sampling);
    const constraint = await this.#constraint(request, calling);
    signal?.throwIfAborted();
    const { variables, ...prompt } = promptOf(template, request.messages, calling?.tools ?? []);
    const asked = { ...prompt, variables: { ...variables, ...request.chat_template_kwargs } };
    const stop = new AbortController();
    signal?.addEventListener("abort", () => stop.abort(signal.reason), { signal: stop.signal });
    const logprobs = request.logprobs === true;
    const thinking = constraint ? null : thinkingOf(template, asked);
    const how = { language: speaker, calling, thinking, stop: options.stop ?? [], logprobs };
    const replies = session();
    const choices = Array.from({ length: count }, (_, i) => {
      const seed = options.seed === undefined ? {} : { seed: (options.seed + i) % 2 ** 32 };
      const each = { ...options, ...seed, ...(constraint && { constraint }), signal: stop.signal };
      return new Choice(replies.generate(asked, each), how);
    });
    const head = { id: `chatcmpl-${crypto.randomUUID()}`, created: Math.floor(Date.now() / 1000), model: model.name };
    return { choices, head, stop };
  }

  async #constraint(
    request: ChatCompletionRequest,
    calling: ReturnType<typeof callingOf>,
  ): Promise<CompiledConstraint | null> {
    const shape = shapeOf(request, calling);
    return shape && (await this.#host.speaker.grammars()).compileShape(shape);
  }
}

/** How a reply begins, where the template says that the model thinks first; null where it does not. */
function thinkingOf(template: ChatTemplate, { messages, ...options }: ChatPrompt): { begun: boolean } | null {
  if (!template.source.includes("<think>")) return null;
  return {
    begun: template
      .render(plainMessages(messages), { ...options, addGenerationPrompt: true })
      .trimEnd()
      .endsWith("<think>"),
  };
}

function templateOf(template: ChatTemplate | null): ChatTemplate {
  if (template) return template;
  throw new InputError(
    "chat.completions: this model has no chat template; got messages, want text. Use session.generate({ text }).",
    { code: "bad-prompt" },
  );
}

async function gathered({ choices, head, stop }: Answer, signal: AbortSignal | undefined): Promise<ChatCompletion> {
  try {
    const all = await Promise.all(choices.map(wholeChoice));
    const usage = await usageOf(choices);
    signal?.throwIfAborted();
    return { ...head, object: "chat.completion", choices: all, usage };
  } finally {
    stop.abort();
  }
}

async function wholeChoice(choice: Choice, index: number): Promise<ChatCompletion["choices"][number]> {
  let content = "";
  let thought = "";
  const calls: ToolCall[] = [];
  const logprobs: LogprobEntry[] = [];
  for await (const piece of choice.pieces()) {
    content += piece.delta.content ?? "";
    thought += piece.delta.reasoning_content ?? "";
    calls.push(
      ...(piece.delta.tool_calls ?? []).map(({ id, type, function: called }) => ({ id, type, function: called })),
    );
    logprobs.push(...(piece.logprobs ?? []));
  }
  const said = content === "" && calls.length > 0 ? null : content;
  const more = {
    ...(thought !== "" && { reasoning_content: thought }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
  return {
    index,
    message: { role: "assistant", content: said, refusal: null, ...more },
    finish_reason: await choice.finish(),
    logprobs: logprobs.length > 0 ? { content: logprobs, refusal: null } : null,
  };
}

/** Chunks of all choices as they come. */
async function* streamed(
  { choices, head, stop }: Answer,
  { stream_options: asked }: ChatCompletionRequest,
  signal: AbortSignal | undefined,
): AsyncGenerator<ChatCompletionChunk, void> {
  const withUsage = asked?.include_usage === true;
  const chunk = (given: Pick<ChatCompletionChunk, "choices">): ChatCompletionChunk => ({
    ...head,
    object: "chat.completion.chunk",
    ...given,
    ...(withUsage && { usage: null }),
  });
  const feed = new Feed<ChatCompletionChunk>();
  const runs = choices.map(async (choice, index) => {
    const give = (delta: CompletionDelta, logprobs: Piece["logprobs"] = null) =>
      feed.push(chunk({ choices: [{ index, delta, finish_reason: null, logprobs: wrapped(logprobs) }] }));
    give({ role: "assistant", content: "" });
    for await (const piece of choice.pieces()) give(piece.delta, piece.logprobs);
    signal?.throwIfAborted();
    const finish_reason = await choice.finish();
    feed.push(chunk({ choices: [{ index, delta: {}, finish_reason, logprobs: null }] }));
  });
  const ended = Promise.all(runs).then(async () => {
    const usage = await usageOf(choices);
    signal?.throwIfAborted();
    if (withUsage) feed.push({ ...chunk({ choices: [] }), usage });
    feed.end();
  });
  ended.catch((error: unknown) => feed.end(error));
  try {
    yield* feed;
  } finally {
    stop.abort();
  }
}

const wrapped = (content: LogprobEntry[] | null) => content && { content, refusal: null };

/** Once all pieces have come. The prompt counts once. */
async function usageOf(choices: readonly Choice[]): Promise<CompletionUsage> {
  const results = await Promise.all(choices.map(({ result }) => result));
  const { promptTokens, reusedTokens } = results[0]!.stats;
  const completion = results.reduce((sum, { stats }) => sum + stats.newTokens, 0);
  const thoughts = choices.reduce((sum, { thoughtTokens }) => sum + thoughtTokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completion,
    total_tokens: promptTokens + completion,
    prompt_tokens_details: { cached_tokens: reusedTokens },
    completion_tokens_details: { reasoning_tokens: thoughts },
  };
}

// Text in, text out: where prompts become tokens and tokens become text again. The engine below sees tokens only.
import type {
  FinishReason,
  Generation,
  GenerateOptions,
  GenerationResult,
  GenerationStats,
  Message,
  Prompt,
  Sampling,
  Session,
  Token,
} from "./api.ts";
import { InputError } from "./errors.ts";
import type { Completion, Step, TokenEngine } from "./engine/engine.ts";
import type { RowSampling } from "./model/model.ts";
import type { ChatTemplate } from "./text/chat.ts";
import { TextStream } from "./text/stream.ts";
import type { Tokenizer } from "./text/tokenizer.ts";

/** What a session needs to turn text into a reply. */
export interface Speaker {
  engine: TokenEngine;
  tokenizer: Tokenizer;
  template: ChatTemplate | null;
  /** Ids that end a turn. */
  endTokens: ReadonlySet<number>;
}

const MOST_BIASES = 64;

/** Every field set and checked. Throws InputError naming the option. */
export function completeSampling(options: Sampling): RowSampling {
  const number = (name: keyof Sampling, fallback: number, low: number, high: number): number => {
    const value = (options[name] as number | undefined) ?? fallback;
    if (typeof value !== "number" || !(value >= low && value <= high)) {
      throw new InputError(`${name}: got ${value}, want a number from ${low} to ${high}.`);
    }
    return value;
  };
  const logitBias = Object.entries(options.logitBias ?? {}).map(([id, bias]) => [Number(id), Number(bias)] as const);
  if (
    logitBias.length > MOST_BIASES ||
    logitBias.some(([id, bias]) => !Number.isInteger(id) || id < 0 || !Number.isFinite(bias))
  ) {
    throw new InputError(
      `logitBias: got ${logitBias.length} entries, want at most ${MOST_BIASES} of token id → finite number.`,
    );
  }
  return {
    temperature: number("temperature", 0, 0, 100),
    topK: Math.floor(number("topK", 0, 0, 2 ** 24)),
    topP: number("topP", 1, 0, 1),
    minP: number("minP", 0, 0, 1),
    repetitionPenalty: number("repetitionPenalty", 1, 0.01, 100),
    frequencyPenalty: number("frequencyPenalty", 0, -100, 100),
    presencePenalty: number("presencePenalty", 0, -100, 100),
    logitBias,
    seed: Math.floor(number("seed", Math.floor(Math.random() * 2 ** 32), 0, 2 ** 32 - 1)),
  };
}

/** The prompt as the chat template writes it. Throws InputError for a model without one. */
export function render({ template }: Speaker, messages: readonly Message[]): string {
  if (!template) {
    throw new InputError("messages: this model has no chat template; got messages, want text. Pass { text } instead.", {
      code: "bad-prompt",
    });
  }
  return template.render(messages, { addGenerationPrompt: true });
}

function promptTokens(speaker: Speaker, prompt: Prompt): number[] {
  if ("tokens" in prompt) return [...prompt.tokens];
  if ("text" in prompt) return speaker.tokenizer.encode(prompt.text);
  return speaker.tokenizer.encode(render(speaker, prompt.messages), { addSpecial: false });
}

export class ChatSession implements Session {
  readonly #speaker: Speaker;
  readonly #running = new Set<AbortController>();
  #disposed = false;

  constructor(speaker: Speaker) {
    this.#speaker = speaker;
  }

  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    if (this.#disposed)
      throw new InputError("session: it was disposed; got a prompt, want none. Open another with engine.session().", {
        code: "disposed",
      });
    return new Reply(this.#speaker, prompt, options, this.#running);
  }

  dispose(): void {
    this.#disposed = true;
    for (const controller of this.#running) controller.abort();
  }
}

/** One reply under way. It runs whether or not anybody iterates; a late listener gets all tokens from the first. */
class Reply implements Generation {
  readonly result: Promise<GenerationResult>;
  readonly #tokens: Token[] = [];
  readonly #controller = new AbortController();
  #wake: (() => void)[] = [];
  #done = false;
  #reused = 0;

  constructor(speaker: Speaker, prompt: Prompt, options: GenerateOptions, running: Set<AbortController>) {
    const started = performance.now();
    const tokens = promptTokens(speaker, prompt);
    let prefilling = false;
    const { maxTokens = Infinity, ignoreEnd = false, stop = [], signal, onPrefill } = options;
    const request = {
      prompt: tokens,
      maxTokens: maxTokens === Infinity ? speaker.engine.context : maxTokens,
      endTokens: ignoreEnd ? new Set<number>() : speaker.endTokens,
      sampling: completeSampling(options),
      onPrefill: (done: number, total: number) => {
        if (!prefilling) this.#reused = done; // the first call: what the cache held
        prefilling = true;
        onPrefill?.(done, total);
      },
    };
    speaker.engine.check(request);
    const stream = new TextStream(speaker.tokenizer, stop);
    running.add(this.#controller);
    if (signal?.aborted) this.#controller.abort();
    signal?.addEventListener("abort", () => this.#controller.abort(), { once: true });
    this.result = this.#run(speaker.engine.generate(request, this.#controller.signal), stream, tokens, started).finally(
      () => {
        running.delete(this.#controller);
        this.#done = true;
        this.#notify();
      },
    );
    // Whoever iterates learns of a failure there; without a handler the promise would count as unhandled.
    this.result.catch(() => {});
  }

  async #run(
    run: AsyncGenerator<Step, Completion>,
    stream: TextStream,
    prompt: number[],
    started: number,
  ): Promise<GenerationResult> {
    let text = "";
    let firstAt = 0;
    let finish: FinishReason | null = null;
    while (finish === null) {
      const next = await run.next();
      if (next.done) {
        finish = next.value.finish;
        break;
      }
      firstAt ||= performance.now();
      const { token: id, logprob, last } = next.value;
      const { text: safe, stopped } = stream.push(id);
      const shown = last && !stopped ? safe + stream.finish() : safe;
      text += shown;
      this.#tokens.push({ id, text: shown, logprob });
      this.#notify();
      if (!stopped) continue;
      finish = "stop";
      await run.return({ finish, reusedTokens: this.#reused });
    }
    text += stream.finish(); // after an abort: what was still held back
    const stats = measure(prompt.length, this.#reused, this.#tokens.length, {
      started,
      firstAt,
      ended: performance.now(),
    });
    const tokens = this.#tokens.map(({ id }) => id);
    const logprobs = this.#tokens.map(({ logprob }) => logprob);
    return { text, tokens, logprobs, promptTokens: prompt, finish, stats };
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Token> {
    let seen = 0;
    try {
      while (true) {
        while (seen < this.#tokens.length) yield this.#tokens[seen++]!;
        if (this.#done) break;
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
      await this.result; // rethrows a failure
    } finally {
      this.#controller.abort();
    }
  }
}

interface Times {
  started: number;
  firstAt: number;
  ended: number;
}

function measure(prompt: number, reused: number, made: number, { started, firstAt, ended }: Times): GenerationStats {
  const prefillMs = (firstAt || ended) - started;
  const decodeMs = firstAt ? ended - firstAt : 0;
  return {
    promptTokens: prompt,
    reusedTokens: reused,
    newTokens: made,
    prefillMs,
    decodeMs,
    prefillTokensPerSecond: prefillMs > 0 ? (1000 * (prompt - reused)) / prefillMs : 0,
    decodeTokensPerSecond: decodeMs > 0 ? (1000 * (made - 1)) / decodeMs : 0,
  };
}

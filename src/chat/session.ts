// Text in, text out: where prompts become tokens. The engine below sees tokens only.
import type { ChatPrompt, Generation, GenerateOptions, Prompt, Session } from "../api.ts";
import type { TokenEngine } from "../engine/engine.ts";
import type { Request } from "../engine/sequence.ts";
import { InputError } from "../errors.ts";
import type { CompiledConstraint, Grammars } from "../grammar/constraint.ts";
import type { ChatTemplate } from "../text/chat.ts";
import { TextStream } from "../text/stream.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type PromptPrice, Reply } from "./reply.ts";
import { completeSampling } from "./sampling.ts";

/** What turns text into tokens and back. */
export interface Language {
  tokenizer: Tokenizer;
  template: ChatTemplate | null;
  /** Ids that end a turn. */
  endTokens: ReadonlySet<number>;
}

/** What a session needs to turn text into a reply. */
export interface Speaker extends Language {
  engine: TokenEngine;
  /** Fetched when the first reply needs them. */
  grammars: () => Promise<Grammars>;
  /** Of a prompt of so many tokens. */
  price: (promptTokens: number) => PromptPrice;
}

/** Replies that end together. Holds no cache: the engine finds what it has of any prompt. */
export class ChatSession implements Session {
  readonly #speaker: Speaker;
  readonly #running = new Set<Reply>();
  #disposed = false;

  constructor(speaker: Speaker) {
    this.#speaker = speaker;
  }

  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    if (this.#disposed)
      throw new InputError("session: it was disposed; got a prompt, want none. Open another with engine.session().", {
        code: "disposed",
      });
    const started = performance.now();
    const { engine, tokenizer, price } = this.#speaker;
    const request = toRequest(this.#speaker, prompt, options);
    const text = new TextStream(tokenizer, options.stop ?? []);
    const run = engine.generate(request, options.signal);
    const asked = { started, price: price(request.prompt.length) };
    const reply = new Reply(run, text, request.prompt, asked);
    this.#running.add(reply);
    const over = () => void this.#running.delete(reply);
    // A failure also reaches those who iterate; without a handler this promise would count as unhandled.
    reply.result.then(over, over);
    return reply;
  }

  dispose(): void {
    this.#disposed = true;
    for (const reply of this.#running) reply.abort();
  }
}

function toRequest(speaker: Speaker, prompt: Prompt, options: GenerateOptions): Request {
  const { maxTokens = Infinity, ignoreEnd = false, reuse = true, attended = false, onPrefill } = options;
  const constraint = checkConstraint(speaker, options);
  return {
    prompt: promptTokens(speaker, prompt),
    maxTokens: maxTokens === Infinity ? speaker.engine.context : maxTokens,
    endTokens: ignoreEnd ? new Set<number>() : speaker.endTokens,
    sampling: completeSampling(options),
    reuse,
    attended,
    top: checkTop(speaker, options.topLogprobs ?? 0),
    ...(constraint && { constraint: constraint.begin() }),
    ...(onPrefill && { onPrefill }),
  };
}

/** Throws InputError for a constraint over other tokens, or that no reply comes to the end of. */
function checkConstraint(
  { tokenizer }: Speaker,
  { constraint, ignoreEnd }: GenerateOptions,
): CompiledConstraint | undefined {
  if (constraint === undefined) return undefined;
  const own = constraint as Partial<CompiledConstraint>;
  if (own.grammars?.vocabulary.tokenizer !== tokenizer)
    throw new InputError("constraint: got something else, want what engine.constraint() of this engine returned.");
  if (ignoreEnd)
    throw new InputError(
      "ignoreEnd: got true with a constraint, want one of them: a reply ends where its grammar does.",
    );
  return own as CompiledConstraint;
}

function checkTop({ engine }: Speaker, top: number): number {
  const most = Math.min(20, engine.vocabulary);
  if (Number.isInteger(top) && top >= 0 && top <= most) return top;
  throw new InputError(`topLogprobs: got ${top}, want a whole number from 0 to ${most}.`);
}

function promptTokens(speaker: Speaker, prompt: Prompt): number[] {
  if ("tokens" in prompt) return [...prompt.tokens];
  if ("text" in prompt) return speaker.tokenizer.encode(prompt.text);
  return speaker.tokenizer.encode(render(speaker, prompt), { addSpecial: false });
}

/** The prompt as the chat template writes it. Throws InputError for a model without one. */
export function render({ template }: Pick<Language, "template">, prompt: ChatPrompt): string {
  if (!template) {
    throw new InputError("messages: this model has no chat template; got messages, want text. Pass { text } instead.", {
      code: "bad-prompt",
    });
  }
  const { messages, ...options } = prompt;
  return template.render(messages, { ...options, addGenerationPrompt: true });
}

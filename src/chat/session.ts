// Text in, text out: where prompts become tokens. The engine below sees tokens only.
import type {
  ChatPrompt,
  Conversation,
  Generation,
  GenerateOptions,
  GenerationResult,
  Prompt,
  ResumeOptions,
  SavedSession,
  Session,
} from "../api.ts";
import type { TokenEngine } from "../engine/engine.ts";
import type { Run } from "../engine/run.ts";
import type { Request } from "../engine/sequence.ts";
import { InputError } from "../errors.ts";
import type { CompiledConstraint, Grammars, Resumable } from "../grammar/constraint.ts";
import type { ChatTemplate } from "../text/chat.ts";
import { TextStream } from "../text/stream.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type PromptPrice, Reply } from "./reply.ts";
import { ComingReply } from "./coming.ts";
import { hasPictures, type PictureReader, plainMessages, type SeenPrompt } from "./parts.ts";
import { completeSampling } from "./sampling.ts";

/** What turns text into tokens and back. */
export interface Language {
  tokenizer: Tokenizer;
  template: ChatTemplate | null;
  /** Ids that end a turn. */
  endTokens: ReadonlySet<number>;
  /** preprocessor_config.json, of a model that sees. */
  preprocessor?: Readonly<Record<string, unknown>> | null;
}

/** What a session needs to turn text into a reply. */
export interface Speaker extends Language {
  engine: TokenEngine;
  /** Fetched when the first reply needs them. */
  grammars: () => Promise<Grammars>;
  /** Fetched with the first one; null where the model sees none. */
  pictures: (() => Promise<PictureReader>) | null;
  /** Of a prompt of so many tokens, which may go on from what was kept of an earlier one. */
  price: (promptTokens: number, kept: Run["goneOn"]) => PromptPrice;
  /** Another session, which goes on from there. */
  open: (last: Last) => Session;
  save: (name: string, last: LastReply | null) => Promise<SavedSession>;
}

/** What was asked for. */
export interface Asked {
  prompt: Prompt;
  request: Request;
  /** Its prompt as results have it, where that has rows of pictures. */
  shown?: readonly number[];
  stop: readonly string[];
}

/** The last reply of a session: what is needed to go on with it. */
export interface LastReply {
  asked: Asked;
  /** Null where it failed. */
  ended: Promise<EndedReply | null>;
  /** The same, once it is known. */
  now: EndedReply | null;
  /** What it left in the cache apart from the tree. */
  run: Pick<Run, "rested">;
  constraint: Resumable | null;
}

/** It may be on its way. */
export type Last = LastReply | Promise<LastReply | null> | null;

export type EndedReply = Pick<GenerationResult, "text" | "tokens" | "logprobs" | "finish">;

interface Start {
  /** On the clock of performance.now(). */
  started: number;
  signal: AbortSignal | undefined;
  /** That of the request. */
  constraint: Resumable | null;
  /** What the reply that it goes on has left. */
  rested?: Run["rested"];
}

/** Replies that end together. Holds no cache: the engine finds what it has of any prompt. */
export class ChatSession implements Session {
  readonly #speaker: Speaker;
  readonly #running = new Set<Reply>();
  /** A promise while pictures are prepared. */
  #last: Last;
  #disposed = false;

  constructor(speaker: Speaker, last: Last = null) {
    this.#speaker = speaker;
    this.#last = last;
    this.#settle(last);
  }

  /** Without waiting from then on. */
  #settle(last: Last): void {
    if (last instanceof Promise) void last.then((known) => this.#last === last && (this.#last = known));
  }

  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    this.#check();
    const started = performance.now();
    if (hasPictures(prompt)) return this.#see(prompt as ChatPrompt, options, started);
    const request = toRequest(this.#speaker, { tokens: promptTokens(this.#speaker, prompt) }, options);
    const asked = { prompt, request, stop: options.stop ?? [] };
    return this.#start(asked, { started, signal: options.signal, constraint: constraintOf(options) });
  }

  /** Begins once the pictures have been prepared. */
  #see(prompt: ChatPrompt, options: GenerateOptions, started: number): Generation {
    const { pictures } = this.#speaker;
    if (!pictures)
      throw new InputError(
        "messages: this model sees no pictures; got one, want text. Load one that does, such as HuggingFaceTB/SmolVLM-256M-Instruct.",
        { code: "bad-prompt" },
      );
    const left = new AbortController();
    const signal = AbortSignal.any([left.signal, ...(options.signal ? [options.signal] : [])]);
    const begun = pictures().then(async (each) => {
      const seen = await each.read(prompt);
      this.#check();
      const request = toRequest(this.#speaker, seen, options);
      const asked = { prompt, request, shown: seen.shown, stop: options.stop ?? [] };
      return this.#begin(asked, { started, signal, constraint: constraintOf(options) });
    });
    this.#last = begun.then(
      ({ last }) => last,
      () => null,
    );
    this.#settle(this.#last);
    const reply = begun.then((made) => made.reply);
    return new ComingReply(reply, () => left.abort());
  }

  resume({ maxTokens = this.#speaker.engine.context, signal, onPrefill }: ResumeOptions = {}): Generation {
    this.#check();
    const last = this.#last instanceof Promise ? null : this.#last;
    const now = last?.now;
    if (!last || !now || now.finish === "stop")
      throw new InputError(
        "resume: got no reply that was cut, want one that ended by maxTokens or an abort. Use generate.",
      );
    const { onPrefill: _onPrefill, reuse: _reuse, constraint: _constraint, ...request } = last.asked.request;
    const begun = now.tokens.map((token, i) => ({ token, logprob: now.logprobs[i]! }));
    const { constraint, run } = last;
    const more = { begun, maxTokens: begun.length + maxTokens, ...(onPrefill && { onPrefill }) };
    const held = constraint && { constraint: constraint.begin(now.tokens) };
    const asked = { ...last.asked, request: { ...request, ...more, ...held } };
    return this.#start(asked, { started: performance.now(), signal, constraint, rested: run.rested });
  }

  #start(asked: Asked, start: Start): Generation {
    const { reply, last } = this.#begin(asked, start);
    this.#last = last;
    return reply;
  }

  #begin(asked: Asked, { started, signal, constraint, rested = null }: Start): { reply: Reply; last: LastReply } {
    const { engine, tokenizer, price } = this.#speaker;
    const { request, stop, shown = request.prompt } = asked;
    const text = new TextStream(tokenizer, stop);
    const run = engine.generate(request, signal, rested);
    const reply = new Reply(
      run,
      text,
      { ...request, prompt: shown },
      {
        started,
        price: () => price(shown.length, run.goneOn),
      },
    );
    this.#running.add(reply);
    // A failure also reaches those who iterate; without a handler this promise would count as unhandled.
    const ended = reply.result.catch(() => null);
    const last: LastReply = { asked, ended, now: null, run, constraint };
    void ended.then((now) => {
      last.now = now;
      this.#running.delete(reply);
    });
    return { reply, last };
  }

  #check(): void {
    if (this.#disposed)
      throw new InputError("session: it was disposed; got a call, want none. Open another with engine.session().", {
        code: "disposed",
      });
  }

  async conversation(): Promise<Conversation | null> {
    const last = await this.#last;
    const ended = await last?.ended;
    if (!last || !ended) return null;
    const { text, tokens, finish } = ended;
    return { prompt: last.asked.prompt, reply: { text, tokens, finish } };
  }

  fork(): Session {
    this.#check();
    return this.#speaker.open(this.#last);
  }

  async save(name: string): Promise<SavedSession> {
    this.#check();
    return this.#speaker.save(name, await this.#last);
  }

  dispose(): void {
    this.#disposed = true;
    for (const reply of this.#running) reply.abort();
    const last = this.#last instanceof Promise ? null : this.#last;
    this.#speaker.engine.release(last?.run.rested ?? null);
  }
}

function toRequest(
  speaker: Speaker,
  { tokens, pictures }: Pick<SeenPrompt, "tokens"> & Partial<SeenPrompt>,
  options: GenerateOptions,
): Request {
  const { maxTokens = Infinity, ignoreEnd = false, reuse = true, attended = false, onPrefill } = options;
  const constraint = checkConstraint(speaker, options);
  return {
    prompt: tokens,
    ...(pictures && { pictures }),
    maxTokens: maxTokens === Infinity ? speaker.engine.context : maxTokens,
    endTokens: ignoreEnd ? new Set<number>() : speaker.endTokens,
    sampling: completeSampling(options),
    reuse,
    attended,
    rests: true,
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

/** As `checkConstraint` lets it pass. */
const constraintOf = ({ constraint }: GenerateOptions): Resumable | null =>
  (constraint as Resumable | undefined) ?? null;

function checkTop({ engine }: Speaker, top: number): number {
  const most = Math.min(20, engine.vocabulary);
  if (Number.isInteger(top) && top >= 0 && top <= most) return top;
  throw new InputError(`topLogprobs: got ${top}, want a whole number from 0 to ${most}.`);
}

export function promptTokens(speaker: Speaker, prompt: Prompt): number[] {
  if ("tokens" in prompt) return [...prompt.tokens];
  if ("text" in prompt) return speaker.tokenizer.encode(prompt.text);
  if (hasPictures(prompt))
    throw new InputError("messages: got a picture, want text alone here. Leave it out.", { code: "bad-prompt" });
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
  return template.render(plainMessages(messages), { ...options, addGenerationPrompt: true });
}

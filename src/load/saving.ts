// Sessions and beginnings of prompts that outlive a page: what session.save, engine.open and engine.prefixes do.
import type {
  ChatPrompt,
  KeepOptions,
  KeptPrefix,
  MadeWith,
  Message,
  ModelInfo,
  Prefixes,
  Prompt,
  SavedSession,
  SavedSessions,
  Session,
} from "../api.ts";
import { type EndedReply, type LastReply, promptTokens, type Speaker } from "../chat/session.ts";
import { restoreCache, saveCache, type SavedPart } from "../engine/saved.ts";
import type { Request } from "../engine/sequence.ts";
import { InputError, ModelError } from "../errors.ts";
import { refuseOther, type SaveRecord, Saves } from "../io/saves.ts";
import { commonLength } from "../kv/blocks.ts";
import { GREEDY } from "../model/model.ts";
import { type RunningModel, students } from "./running.ts";
import type { Settings } from "./settings.ts";

/** Of what is written; another one is refused. */
const FORMAT = "1";

interface SessionData {
  format: string;
  madeWith: MadeWith;
  prompt: Prompt;
  request: Pick<Request, "prompt" | "sampling" | "top"> & { endTokens: number[] };
  stop: readonly string[];
  constrained: boolean;
  ended: EndedReply;
  parts: SavedPart[];
}

interface PrefixData {
  madeWith: MadeWith;
  title: string;
  tokens: number;
  parts: SavedPart[];
}

const bytesOf = (parts: readonly SavedPart[]): number => parts.reduce((sum, { bytes }) => sum + bytes, 0);

/** What tells an engine from others whose caches hold something else. */
export async function madeWith({ identity, config, weights, settings, recipe }: Made): Promise<MadeWith> {
  const { name: model, hash } = identity;
  const { swiftkv } = config;
  const shape = swiftkv && `${swiftkv.layers},${swiftkv.group}`;
  return {
    model,
    hash,
    weights: settings.weights,
    swiftkv: shape && `${shape} ${await studentOf({ identity, config, weights })}`,
    kv: String(recipe),
  };
}

/** Which student: by the hash of its tensors, or by where they come from. */
async function studentOf({
  identity,
  config,
  weights,
}: Pick<Made, "identity" | "config" | "weights">): Promise<string> {
  if (weights.undistilled) return "undistilled";
  if (!weights.fit) return identity.name;
  const { studentBytes } = await students.load();
  return digestOf(studentBytes(weights.fit, { config, ...identity }));
}

interface Made extends Pick<RunningModel, "config" | "weights" | "recipe"> {
  identity: Pick<ModelInfo, "name" | "hash">;
  settings: Settings;
}

/** Of one engine. `made`: what tells it from others. */
export class Sessions {
  readonly #speaker: Speaker;
  readonly #made: MadeWith;
  readonly #saves = new Saves<SessionData>("session");

  constructor(speaker: Speaker, made: MadeWith) {
    this.#speaker = speaker;
    this.#made = made;
  }

  async save(name: string, last: LastReply | null): Promise<SavedSession> {
    if (typeof name !== "string" || name === "") throw new InputError(`save: got "${name}", want a name.`);
    const ended = await last?.ended;
    if (!last || !ended)
      throw new InputError("save: got a session without a reply that has ended, want one. Generate first.");
    const { prompt, request, stop } = last.asked;
    const { sampling, top = 0, endTokens } = request;
    const given = { prompt: [...request.prompt], sampling, top, endTokens: [...endTokens] };
    const { text, tokens, logprobs, finish } = ended;
    const about = { format: FORMAT, madeWith: this.#made, prompt, request: given, stop, constrained: last.constrained };
    let record: SaveRecord<SessionData> | null = null;
    await saveCache(this.#speaker.engine, textOf(given, ended), last.run.rested, async (parts, bytes) => {
      const data = { ...about, ended: { text, tokens, logprobs, finish }, parts };
      record = await this.#saves.put(name, bytesOf(parts), data, bytes);
    });
    return describe({ ...record!, name });
  }

  async open(name: string): Promise<Session> {
    const { engine } = this.#speaker;
    const last = await this.#saves.read(name, async ({ data }, from): Promise<LastReply> => {
      const { format, madeWith, prompt, request, stop, constrained, ended, parts } = data;
      refuseOther(`session "${name}"`, { ...madeWith, format }, { ...this.#made, format: FORMAT });
      const tokens = textOf(request, ended);
      checkLength(name, tokens.length, engine.context);
      const rested = await restoreCache(engine, tokens, parts, from);
      const asked = { prompt, stop, request: revive(request) };
      return { asked, ended: Promise.resolve(ended), now: ended, run: { rested }, constrained };
    });
    if (last) return this.#speaker.open(last);
    throw new InputError(`open: got "${name}", want the name of a saved session. engine.sessions.list() has them.`);
  }
}

const textOf = ({ prompt }: Pick<Request, "prompt">, { tokens }: EndedReply): number[] => [...prompt, ...tokens];

const revive = ({ endTokens, ...rest }: SessionData["request"]): Request => ({
  ...rest,
  endTokens: new Set(endTokens),
  maxTokens: 1, // said anew where it goes on
  rests: true,
});

function checkLength(name: string, tokens: number, context: number): void {
  if (tokens <= context) return;
  throw new InputError(
    `open: session "${name}"; got ${tokens} tokens, want at most ${context} (the context). Load the model with a larger context.`,
    { code: "context-too-small" },
  );
}

function describe({ name, savedAt, bytes, data }: SaveRecord<SessionData> & { name: string }): SavedSession {
  const { madeWith, prompt, request, ended, parts } = data;
  const { text, tokens, finish } = ended;
  const cachedTokens = Math.max(0, ...parts.map((part) => part.tokens));
  return {
    name,
    savedAt,
    tokens: request.prompt.length + tokens.length,
    cachedTokens,
    bytes,
    madeWith,
    conversation: { prompt, reply: { text, tokens, finish } },
  };
}

/** Those of all engines. */
export const savedSessions: SavedSessions = {
  async list() {
    const all = await new Saves<SessionData>("session").list();
    return all.map(describe).toSorted((a, b) => b.savedAt - a.savedAt);
  },
  delete: (name) => new Saves("session").delete(name),
};

const DEFAULT_MOST_BYTES = 1e9;

/** Kept for the engine whose `speaker` it is. Only what the tree has: nothing in it was chosen for a question. */
export class KeptPrefixes implements Prefixes {
  readonly #speaker: Speaker;
  readonly #made: MadeWith;
  readonly #saves = new Saves<PrefixData>("prefix");

  constructor(speaker: Speaker, made: MadeWith) {
    this.#speaker = speaker;
    this.#made = made;
  }

  async keep(prompt: Prompt, options: KeepOptions = {}): Promise<KeptPrefix & { computedTokens: number }> {
    const tokens = beginningOf(this.#speaker, prompt);
    if (tokens.length === 0)
      throw new InputError("prefixes: got a beginning without tokens, want at least 1. Give a text or a message.", {
        code: "bad-prompt",
      });
    const id = await digestOf(JSON.stringify([FORMAT, this.#made, tokens]));
    return this.#saves.locked(id, async () => {
      const found = await this.#restore(id, tokens);
      if (found) return { ...describePrefix({ ...found, name: id }), computedTokens: 0 };
      const computedTokens = await this.#compute(tokens, options);
      const kept = await this.#store(id, tokens, titleOf(this.#speaker, prompt), options);
      return { ...describePrefix({ ...kept, name: id }), computedTokens };
    });
  }

  /** Null where it is not kept, or not any more as it was. */
  async #restore(id: string, tokens: readonly number[]): Promise<SaveRecord<PrefixData> | null> {
    try {
      return await this.#saves.read(id, async (record, from) => {
        await restoreCache(this.#speaker.engine, tokens, record.data.parts, from);
        await this.#saves.touch(id, record);
        return record;
      });
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      await this.#saves.delete(id);
      return null;
    }
  }

  async #compute(prompt: readonly number[], { signal, onPrefill }: KeepOptions): Promise<number> {
    const request = { prompt, maxTokens: 1, endTokens: new Set<number>(), sampling: GREEDY };
    const run = this.#speaker.engine.generate({ ...request, ...(onPrefill && { onPrefill }) }, signal);
    for await (const _ of run);
    signal?.throwIfAborted();
    return prompt.length - run.reusedTokens;
  }

  async #store(id: string, text: readonly number[], title: string, { mostBytes = DEFAULT_MOST_BYTES }: KeepOptions) {
    let record: SaveRecord<PrefixData> | null = null;
    await saveCache(this.#speaker.engine, text, null, async (parts, bytes) => {
      const data = { madeWith: this.#made, title, tokens: text.length, parts };
      await this.#makeRoom(bytesOf(parts), mostBytes);
      record = await this.#saves.put(id, bytesOf(parts), data, bytes);
    });
    return record!;
  }

  async #makeRoom(bytes: number, mostBytes: number): Promise<void> {
    if (bytes > mostBytes)
      throw new InputError(`prefixes: mostBytes; got ${mostBytes}, want at least ${bytes} for this beginning.`);
    const all = await this.#saves.list();
    let total = all.reduce((sum, each) => sum + each.bytes, bytes);
    for (const oldest of all.toReversed()) {
      if (total <= mostBytes) return;
      total -= await this.#saves.delete(oldest.name);
    }
  }

  async list(): Promise<KeptPrefix[]> {
    return (await this.#saves.list()).map(describePrefix);
  }

  delete(id?: string): Promise<number> {
    return this.#saves.delete(id);
  }
}

function describePrefix({ name, usedAt, bytes, data }: SaveRecord<PrefixData> & { name: string }): KeptPrefix {
  const { title, tokens, madeWith } = data;
  return { id: name, title, usedAt, tokens, bytes, madeWith };
}

/** Tokens that all prompts have in common that begin so. */
function beginningOf(speaker: Speaker, prompt: Prompt): number[] {
  if (!("messages" in prompt)) return promptTokens(speaker, prompt);
  const [one, other] = ["a", "b"].map((text) => promptTokens(speaker, goingOn(prompt, text))) as [number[], number[]];
  return one.slice(0, commonLength(one, other));
}

/** With more in the last message of the user, or with one. */
function goingOn(prompt: ChatPrompt, text: string): ChatPrompt {
  const last = prompt.messages.at(-1);
  const isUsers = last?.role === "user" && typeof last.content === "string";
  const before = isUsers ? prompt.messages.slice(0, -1) : prompt.messages;
  const next: Message = isUsers
    ? { ...last, content: `${last.content as string}${text}` }
    : { role: "user", content: text };
  return { ...prompt, messages: [...before, next] };
}

const TITLE_LENGTH = 80;

function titleOf({ tokenizer }: Speaker, prompt: Prompt): string {
  if ("text" in prompt) return prompt.text.slice(0, TITLE_LENGTH);
  if ("tokens" in prompt) return tokenizer.decode(prompt.tokens.slice(0, TITLE_LENGTH)).slice(0, TITLE_LENGTH);
  const content = prompt.messages.find((message) => typeof message.content === "string")?.content;
  return ((content as string | undefined) ?? "").slice(0, TITLE_LENGTH);
}

export async function digestOf(data: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

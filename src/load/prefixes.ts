// Beginnings of prompts that outlive a page: what engine.prefixes does.
import type { ChatPrompt, KeepOptions, KeptPrefix, MadeWith, Message, Prefixes, Prompt } from "../api.ts";
import { promptTokens, type Speaker } from "../chat/session.ts";
import type { Run } from "../engine/run.ts";
import { bytesOf, restoreCache, saveCache, type SavedPart } from "../engine/saved.ts";
import { InputError, ModelError } from "../errors.ts";
import { digestOf } from "../io/files/pieces.ts";
import { type SaveRecord, Saves } from "../io/saves.ts";
import { commonLength } from "../kv/blocks.ts";
import { GREEDY } from "../model/model.ts";

/** Of what is written. */
const FORMAT = "1";

interface PrefixData {
  madeWith: MadeWith;
  title: string;
  tokens: number;
  parts: SavedPart[];
}

interface Computed {
  computedTokens: number;
  rested: Run["rested"];
}

/** What is to be stored. */
interface Found extends Pick<Computed, "rested"> {
  text: readonly number[];
  title: string;
}

const DEFAULT_MOST_BYTES = 1e9;

/** Kept for the engine whose `speaker` it is: what the tree has, or what a recipe chose for every question. Nothing that was chosen for one. */
export class KeptPrefixes implements Pick<Prefixes, "keep"> {
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
    const { hash, weights, swiftkv, kv } = this.#made;
    const id = await digestOf(new TextEncoder().encode(JSON.stringify([FORMAT, hash, weights, swiftkv, kv, tokens])));
    return this.#saves.locked(id, async () => {
      const found = await this.#restore(id, tokens);
      if (found) return { ...describePrefix({ ...found, name: id }), computedTokens: 0 };
      const { computedTokens, rested } = await this.#compute(tokens, options);
      const kept = await this.#store(id, { text: tokens, rested, title: titleOf(this.#speaker, prompt) }, options);
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

  async #compute(prompt: readonly number[], { signal, onPrefill }: KeepOptions): Promise<Computed> {
    const { engine } = this.#speaker;
    const maxTokens = engine.keepsForAll ? 2 : 1; // a part is chosen before the second
    const how = { rests: engine.keepsForAll, anew: true, endTokens: new Set<number>(), sampling: GREEDY };
    const run = engine.generate({ prompt, maxTokens, ...how, ...(onPrefill && { onPrefill }) }, signal);
    for await (const _ of run);
    signal?.throwIfAborted();
    return { computedTokens: prompt.length - run.reusedTokens, rested: run.rested };
  }

  async #store(id: string, { text, rested, title }: Found, { mostBytes = DEFAULT_MOST_BYTES }: KeepOptions) {
    let record: SaveRecord<PrefixData> | null = null;
    await saveCache(this.#speaker.engine, text, rested, async (parts, bytes) => {
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
}

/** Those of all engines. */
export const keptPrefixes: Omit<Prefixes, "keep"> = {
  list: async () => (await new Saves<PrefixData>("prefix").list()).map(describePrefix),
  delete: (id) => new Saves("prefix").delete(id),
};

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

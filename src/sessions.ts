// The public types of what outlives a page: saved sessions, and beginnings of prompts that are kept.
import type { Prompt } from "./prompts.ts";

/** Why a reply ended: by itself, at its limit of tokens, or because it was told to. */
export type FinishReason = "stop" | "length" | "abort";

/** What was asked last in a session, and what came. Plain data, with the values of JavaScript that the prompt had. */
export interface Conversation {
  /** As `generate` was given it. */
  prompt: Prompt;
  /** All of the reply, whatever it took to write it. */
  reply: { text: string; tokens: number[]; finish: FinishReason };
}

/** How a reply that was cut goes on. What is sampled is as it was asked for at first. */
export interface ResumeOptions extends ReadOptions {
  /** Of new tokens. Default: what fits in the context. */
  maxTokens?: number;
}

/** While a prompt is read: as in `GenerateOptions`. */
export interface ReadOptions {
  /** Ends it. */
  signal?: AbortSignal;
  /** Prompt tokens done and in all. */
  onPrefill?: (done: number, total: number) => void;
}

/** What a save or a kept beginning was made with: no other engine opens it. */
export interface MadeWith {
  /** `ModelInfo.name` and `ModelInfo.hash`. */
  model: string;
  /** `ModelInfo.hash`. */
  hash: string;
  /** Format of the weights as `load` was asked for it, SwiftKV's shape with what tells students of it apart, and the recipe. */
  weights: string;
  /** K, G and which student; null: the ordinary model. */
  swiftkv: string | null;
  /** The recipe, with every option. */
  kv: string;
}

/** A session in this browser's storage. */
export interface SavedSession {
  name: string;
  /** Milliseconds since 1970. */
  savedAt: number;
  /** Of the prompt and the reply together, and of those that need not be computed again. */
  tokens: number;
  /** Those that need not be computed again. */
  cachedTokens: number;
  /** Of keys and values in storage. */
  bytes: number;
  /** Which engines open it. */
  madeWith: MadeWith;
  /** What was asked and what came. */
  conversation: Conversation;
}

/** Sessions in this browser's storage, of all models. */
export interface SavedSessions {
  /** The newest first. Empty where the browser keeps nothing. */
  list(): Promise<SavedSession[]>;
  /** By its name; without a name all of them. Returns the bytes that were kept. */
  delete(name?: string): Promise<number>;
}

/** How a beginning is kept. */
export interface KeepOptions extends ReadOptions {
  /** Bytes that all kept beginnings may take; those that were used longest ago go. Default 1 GB. */
  mostBytes?: number;
}

/** The beginning of prompts in this browser's storage. */
export interface KeptPrefix {
  /** For `delete`: it follows from tokens, model and recipe. */
  id: string;
  /** The beginning of its text. */
  title: string;
  /** Milliseconds since 1970. */
  usedAt: number;
  /** All of its tokens are in the cache after `keep`. */
  tokens: number;
  /** Of keys and values in storage. */
  bytes: number;
  /** Which engines find it. */
  madeWith: MadeWith;
}

/** Beginnings of prompts, computed once for all pages and visits. */
export interface Prefixes {
  /**
   * Makes sure that what all prompts that begin so have in common is in the cache, where `generate` finds it while there is room:
   * from storage where it is kept, else computed, and kept. Of the messages, the last may be a user's whose text goes on.
   */
  keep(prefix: Prompt, options?: KeepOptions): Promise<KeptPrefix & { computedTokens: number }>;
  /** The one used last first. */
  list(): Promise<KeptPrefix[]>;
  /** By its id; without one all. Returns the bytes that were kept. */
  delete(id?: string): Promise<number>;
}

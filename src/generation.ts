// The public types of replies: how they are sampled, and what comes of them.
import type { Attended } from "./attended.ts";
import type { Constraint } from "./completions.ts";
import type { FinishReason } from "./sessions.ts";

/** How tokens are drawn. Throws InputError (code "bad-option") for a value out of its range. */
export interface Sampling {
  /** 0 = greedy (default). */
  temperature?: number;
  /** Keep the k most likely tokens; 0 = all (default). */
  topK?: number;
  /** Keep the smallest set of tokens whose probability reaches p; 1 = all (default). */
  topP?: number;
  /** Drop tokens less likely than p × the most likely one; 0 = none (default). */
  minP?: number;
  /** Divide (positive) or multiply (negative) logits of tokens already present; 1 = off (default). */
  repetitionPenalty?: number;
  /** Subtract this × the count of the token in what was generated; 0 = off. */
  frequencyPenalty?: number;
  /** Subtract this if the token was generated before; 0 = off. */
  presencePenalty?: number;
  /** Added to the logits of these token ids. At most 64 entries. */
  logitBias?: Readonly<Record<number, number>>;
  /** Same seed, same prompt, same machine: same tokens. Default: random. */
  seed?: number;
}

/** How one reply is made. */
export interface GenerateOptions extends Sampling {
  /** Default: what fits in the context. */
  maxTokens?: number;
  /** Generation ends before any of these strings; they are not part of the text. */
  stop?: readonly string[];
  /** What the reply must be: no other token is sampled. From `engine.constraint` of this engine. */
  constraint?: Constraint;
  /** How many of the likeliest tokens come with each token, at most 20. Default 0. */
  topLogprobs?: number;
  /** Ignore end-of-turn tokens (benchmarks). */
  ignoreEnd?: boolean;
  /** Default true. `false` computes the whole prompt, whatever the cache holds of it (measurements). */
  reuse?: boolean;
  /** Count what the reply reads of its prompt: `GenerationResult.attended`. Default false. */
  attended?: boolean;
  /** Ends the reply: `finish` is "abort", and what came stays. */
  signal?: AbortSignal;
  /** Called when the prompt's turn comes and after every prefill chunk: prompt tokens done (reused ones included) and in all. */
  onPrefill?: (done: number, total: number) => void;
}

/** One generated token. `text` is what became printable with it: it may be empty or cover several tokens. */
export interface Token {
  /** Its number in the vocabulary. */
  id: number;
  /** What became printable with it. */
  text: string;
  /** Natural log-probability under the model, before temperature and filters. */
  logprob: number;
  /** The likeliest tokens in its place, best first, where `topLogprobs` asks for them. */
  top?: readonly { id: number; logprob: number }[];
}

/** What a reply took. Times in milliseconds. */
export interface GenerationStats {
  /** Tokens of the prompt, reused ones included. */
  promptTokens: number;
  /** Prompt tokens whose keys and values were already there. */
  reusedTokens: number;
  /** Tokens of the reply; of one that went on, the new ones. */
  newTokens: number;
  /** Bytes of the cache per token of this prompt: tokens that are given up or stored in fewer bits count so. */
  kvBytesPerToken: number;
  /** Tokens of this prompt that those after it do not see: the mean over layers and KV heads. 0: nothing was dropped. */
  evictedTokens: number;
  /** Time from the call to the first token. */
  prefillMs: number;
  /** Time from the first to the last token. */
  decodeMs: number;
  /** New prompt tokens (without the reused) per second. */
  prefillTokensPerSecond: number;
  /** Tokens after the first per second. */
  decodeTokensPerSecond: number;
}

/** A reply that has ended. */
export interface GenerationResult {
  /** All of it, without a stop string. */
  text: string;
  /** [reply] ids, the one that ended it included. */
  tokens: number[];
  /** [reply] as `Token.logprob`. */
  logprobs: number[];
  /** [prompt] the prompt as the model read it. */
  promptTokens: number[];
  /** "stop": an end token, a stop string or the end of a constraint; "length": `maxTokens`; "abort". */
  finish: FinishReason;
  /** What it took. */
  stats: GenerationStats;
  /** Null where it was not asked for, the recipe leaves no choice (all but ShadowKV), or the prompt stayed whole. */
  attended: Attended | null;
}

/** A running reply: iterate over its tokens, or await the whole. */
export interface Generation extends AsyncIterable<Token> {
  /** The whole reply. Rejects with what went wrong on the way; an abort is no error. */
  readonly result: Promise<GenerationResult>;
}

// What the engine knows of a model: rows of tokens go in, sampled tokens come out. A fake implements it in tests.
import type { Attended } from "../attended.ts";
import type { BlockMove } from "../kv/blocks.ts";
import type { Made } from "../kv/later.ts";
import type { CachePlan } from "../kv/plan.ts";
import type { KeptPages, RetiringPage } from "../kv/kept.ts";
import type { Holdings } from "../kv/holdings.ts";
import type { Edits } from "../kv/residence.ts";
import { UnsupportedError } from "../errors.ts";

/** Sampling of one row, all fields set. Meanings as in api.ts. */
export interface RowSampling {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  frequencyPenalty: number;
  presencePenalty: number;
  logitBias: readonly (readonly [token: number, bias: number])[];
  seed: number;
}

/** The most likely token, nothing else. */
export const GREEDY: RowSampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: [],
  seed: 0,
};

/** Whether the tokens seen so far change the logits. */
export const penalised = ({ repetitionPenalty, frequencyPenalty, presencePenalty }: RowSampling): boolean =>
  repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0;

/** Whether anything changes the logits before they are sampled. */
export const adjusted = (sampling: RowSampling): boolean => penalised(sampling) || sampling.logitBias.length > 0;

/** The token that the sequence sampled last, which is still on the GPU. */
export const LAST_SAMPLED = -1;

/** One token to run. */
export interface Row {
  /** Token id, or LAST_SAMPLED. */
  token: number;
  /** Absolute position in the text: what RoPE sees. */
  position: number;
  /** Cache slot within the sequence: page cacheIndex / 32, slot cacheIndex % 32. */
  cacheIndex: number;
  /** Number of its sequence: 0 … limits.sequences−1. */
  sequence: number;
}

/** A row whose logits are wanted. */
export interface LogitRow {
  /** Index into `rows`. */
  row: number;
  sequence: number;
  sampling: RowSampling;
  /** How many tokens the request has sampled before this one: makes the noise differ. */
  counter: number;
  /** Do not sample: report the log-probability of this token. */
  forced: number | null;
  /** Read its logits back too: 4·V bytes more. At most one row of each sequence. */
  logits?: boolean;
  /** Report that many of the likeliest tokens too: 8 bytes more for each. At most MOST_TOPS, and V. */
  top?: number;
  /** What it may sample is known only once the token before it is: the step waits for `sample`. */
  constrained?: boolean;
}

/** [⌈V / 32⌉] which tokens a row may sample: bit i of word w stands for token 32·w + i. null: any. */
export type Allowed = Uint32Array<ArrayBuffer> | null;

/** What penalties and biases must know of a sequence that enters. */
export interface Arrival {
  sequence: number;
  sampling: RowSampling;
  prompt: readonly number[];
  /** Tokens it sampled before: none, unless it was preempted in the middle of its reply. */
  generated: readonly number[];
}

/** Changes to the lists of one sequence. */
export interface ListEdits extends Edits {
  sequence: number;
  /** The number is this sequence's from this step on: its lists are empty before the other changes. */
  enters: boolean;
}

/** The end of a prompt, or of a chunk after which some of it goes: after a layer's attention, what stays of it goes to private pages. */
export interface PromptEnd {
  sequence: number;
  /** Tokens of the prompt. */
  tokens: number;
  /** Rows of its last chunk. */
  rows: number;
  /** Further chunks follow after which some of it goes. */
  more?: boolean;
  kept: KeptPages;
  /** Where that is found out with this step: what is kept, by the tokens of each list, no more than `kept` has. */
  decide?: (tokens: readonly number[]) => KeptPages;
}

/** A part of a prompt that has been read, repeated behind it; what these rows write is written over. */
export interface Repeated {
  sequence: number;
  /** Tokens of the prompt. */
  tokens: number;
  /** Of those, how many steps before have repeated; and that this one repeats from … end − 1, some of them once more. */
  start: number;
  from: number;
  end: number;
  rows: number;
}

/** A page of the reply of a decoding sequence that its lists lose after this step: what stands for it is made before. */
export interface Retiring extends RetiringPage {
  sequence: number;
}

/** Where prompts are streamed: tokens of a sequence whose keys and values of later stores are made in a step. */
export interface MadeTokens extends Made {
  sequence: number;
}

/** A picture of a prompt: its rows are tokens V + (first + tile)·T + row, T to a tile, in the order of its tiles. */
export interface Picture {
  /** Number of its first tile: of this engine, those of no other picture. */
  first: number;
  /** Pixels of each, row by row: red, green, blue and a byte that is not read, from the lowest on. */
  tiles: readonly Uint32Array<ArrayBuffer>[];
}

/** One step. Rows of decoding sequences come first, then the rows of at most one prompt chunk. */
export interface Batch {
  rows: readonly Row[];
  /** How many of the rows belong to decoding sequences. */
  decodeRows: number;
  logitRows: readonly LogitRow[];
  /** Changes to the page lists of sequences, applied before the step. */
  lists: readonly ListEdits[];
  /** Applied before the step: first what changes its tier, then copies, in order. */
  moves: readonly BlockMove[];
  /** Set where a prompt ends with this step of which only a part stays. */
  promptEnd: PromptEnd | null;
  /** Set where the rows after those that decode repeat a prompt. */
  repeated?: Repeated | null;
  retiring: Retiring | null;
  /** Numbers of sequences that are over, but what stands for their prompts is kept for later ones. */
  standing: readonly number[];
  /** Set where prompts are streamed and the logits of a chunk's row are wanted: tokens of its sequence, its own rows included. */
  made?: MadeTokens | null;
  /** Sequences that enter with a penalty or a bias: from this step on the counts and biases of their numbers are theirs. */
  arrivals: readonly Arrival[];
  /** Those of the prompt of which it has a chunk. */
  pictures?: readonly Picture[];
  /** Sequences of which it is counted what their decoding rows read of their prompts. */
  attended?: readonly number[];
}

export interface Sampled {
  token: number;
  logprob: number;
  /** [V] raw logits, where the row asked for them. */
  logits?: Float32Array;
  /** The likeliest tokens, best first, where the row asked for them. */
  top?: readonly { token: number; logprob: number }[];
}

/** There is no memory for what some sequences of a step need. Nothing of it has been written. */
export class NoRoomError extends UnsupportedError {
  /** Numbers of those sequences. */
  readonly sequences: readonly number[];

  constructor({ message, cause }: UnsupportedError, sequences: readonly number[]) {
    super(message, { code: "out-of-memory", cause });
    this.sequences = sequences;
  }
}

/** A step on the GPU's queue. */
export interface Launched {
  /** Where a row is constrained: nothing is sampled until this is called, once, before the next step, with what each row may be. */
  sample?: (allowed: readonly Allowed[]) => Promise<void>;
  /** One result per logit row, in order. */
  read: () => Promise<readonly Sampled[]>;
}

export interface Model {
  readonly limits: {
    /** Most rows in a step: those of a chunk, and one for every other sequence. */
    rows: number;
    /** Sequences in a step. */
    sequences: number;
    /** Most logit rows in a step. */
    logitCount: number;
    vocabulary: number;
  };
  /** How its cache is shared out. */
  readonly cache: CachePlan;
  /** Rows of the next chunk of an input of which `left` tokens are left, at most. Default: all that there is room for. */
  chunkRows?(left: number): number;
  /** Steps under way, the one that is launched next included, before the oldest is read. Default 2. */
  readonly depth?: 2 | 3;
  /**
   * Launches the step. Resolves once it is on the GPU's queue. The next steps may be launched before this one has been read. Throws
   * NoRoomError where there is no memory.
   */
  submit(batch: Batch): Promise<Launched>;
  /** What the sequence's rows have read of its prompt since it entered, where a batch had that counted; null where the recipe leaves no choice. */
  attended(sequence: number): Promise<Attended | null>;
  /** What a residence holds; `sequence`: the number under which it rests, null where all of it is in the tree. Only while no step is under way. */
  pages(holdings: Holdings, sequence: number | null): Promise<PageBytes>;
}

/** The bytes of a residence, in an order that depends on model, recipe and the shape of its holdings alone. */
export interface PageBytes {
  bytes: number;
  /** Piece by piece. */
  read(): AsyncGenerator<Uint8Array<ArrayBuffer>, void>;
  /** `next` gives what was read, in pieces of any multiple of 4 bytes, at most as many as it is asked for. */
  write(next: (most: number) => Promise<Uint8Array<ArrayBuffer>>): Promise<void>;
}

// The public types of what models take: on the GPU, and in the browser's storage.

/** What keys and values cost under a recipe after a prompt of a given length. */
export interface RecipePrice {
  /** Bytes of all layers and heads: what is kept, in the format it then has. */
  kvBytes: number;
  /** Of one token of the prompt, whether or not it is kept. */
  kvBytesPerToken: number;
  /** Tokens of the prompt that later tokens do not see: the mean over all layers and heads. 0: they see all. */
  evictedTokens: number;
  /** Most bytes at once: as its end is reached, all that was read of the prompt is there beside what stays. */
  peakBytes: number;
  /** Whether the prompt of a SwiftKV student keeps one number for each of the model's channels in place of the keys and values of later layers, and why; null: it cannot. */
  streaming: string | null;
  /** Weights that the systems bring along. */
  extraWeightBytes: number;
}

/** Bytes on the GPU. */
export interface MemoryUse {
  /** Matrices and vectors. */
  weightBytes: number;
  /** Keys and values. */
  kvBytes: number;
  /** Activations, tables, staging. */
  scratchBytes: number;
}

/** What `load` will allocate. */
export interface MemoryPlan {
  /** The recipe that it takes, and tokens of context. */
  kv: string;
  /** Tokens of context. */
  context: number;
  /** Once it is loaded: what `Engine.stats` then says. */
  loaded: MemoryUse;
  /** With the whole context in use, and once requests of every kind have come. */
  full: MemoryUse;
  /** Most bytes at any moment: weights pass through a buffer, and parts of the cache are there twice while it grows. */
  peakBytes: number;
  /** The largest buffer, and what the adapter allows. */
  largestBytes: number;
  /** Most that the adapter allows for a buffer. */
  mostBytes: number;
  /** Of the weights in their files, and what of them is not yet kept in this browser. */
  fileBytes: number;
  /** Bytes of the files that are not yet kept in this browser. */
  downloadBytes: number;
}

/** A model of which something is kept in this browser. */
export interface KeptModel {
  /** "org/name", the same with a GGUF file, or an address. What `kept.delete` takes. */
  name: string;
  /** For `load`. */
  source: string;
  /** Milliseconds since 1970, when its newest file was first asked for. */
  since: number;
  /** Bytes that are kept, and those that its files have in all. */
  bytes: number;
  /** Bytes that its files have in all. */
  totalBytes: number;
  /** It loads without a network. */
  isComplete: boolean;
  /** Each with the bytes that are kept of it, and all that it has. */
  files: readonly { name: string; bytes: number; totalBytes: number }[];
}

/** What this origin has stored. */
export interface KeptStorage {
  /** By everything that this origin stores. */
  usedBytes: number;
  /** Null where the browser does not say. */
  quotaBytes: number | null;
  /** The browser deletes nothing by itself, even where the disk is full. */
  isPersistent: boolean;
}

// What work costs, in numbers: public types of measurements.

/** One dispatch of a step, timed alone. */
export interface KernelTime {
  /** Its name in shaders/. */
  kernel: string;
  /** What it computed, e.g. "layer 3 qkv". */
  label: string;
  /** On the GPU. */
  microseconds: number;
  /** Read and written. */
  bytes: number;
  /** Floating-point operations, multiply-add = 2. */
  flops: number;
}

/** Floating-point operations, multiply-add = 2. */
export interface ModelFlops {
  /** Of the weights, per prompt token. */
  layers: number;
  /** Of attention, per prompt token and visible key. */
  attention: number;
  /** Of the output projection and, with SwiftKV, of the later layers: once per prompt. */
  last: number;
  /** Of attention in the later layers of SwiftKV, per visible key of the last prompt token. */
  lastAttention: number;
}

/** How `Engine.evaluate` runs. */
export interface EvaluateOptions {
  /**
   * Called with the logits [V] f32 that each token of the continuation would be sampled from, raw, in order; they may be
   * kept. Without it, they stay on the GPU; with it 4·V bytes more are read back per token.
   */
  onLogits?: (logits: Float32Array, index: number) => void;
  /** As in `GenerateOptions`. */
  onPrefill?: (done: number, total: number) => void;
  /** Ends it: it rejects with the reason. */
  signal?: AbortSignal;
}

/** What a model thinks of a continuation. */
export interface Evaluation {
  /** [continuation] natural-log likelihood of each token given the prompt and the tokens before it. */
  logprobs: Float32Array;
  /** Bytes of the cache per token of this prompt. */
  kvBytesPerToken: number;
  /** Time from the call to the first token's likelihood, and from there to the last one's. */
  prefillMs: number;
  /** Time from the first likelihood to the last. */
  decodeMs: number;
}

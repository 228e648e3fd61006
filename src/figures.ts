// What work costs, in numbers: public types of measurements.

/** One dispatch of a step, timed alone. */
export interface KernelTime {
  kernel: string;
  /** What it computed, e.g. "layer 3 qkv". */
  label: string;
  microseconds: number;
  bytes: number;
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

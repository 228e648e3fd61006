// The errors a caller can meet. A message reads `who: what; got X, want Y. What to do.`

/** The browser, the adapter or the model's architecture lacks something this engine needs. */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
}

/** A model file is missing, damaged or contradicts another one. */
export class ModelError extends Error {
  override readonly name = "ModelError";
}

/** The caller asked for something impossible: a prompt longer than the context, an option out of range. */
export class InputError extends Error {
  override readonly name = "InputError";
}

/** The GPU went away (driver reset, tab in the background too long, out of memory). Load the model again. */
export class DeviceLostError extends Error {
  override readonly name = "DeviceLostError";
}

/** Invariants of this code base. A failure is a bug of ours, never of the caller. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** Number of blocks of `size` that cover `count`. */
export const ceilDiv = (count: number, size: number): number => Math.ceil(count / size);

/** `value` rounded up to a multiple of `size`. */
export const alignUp = (value: number, size: number): number => Math.ceil(value / size) * size;

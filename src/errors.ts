// The errors that a caller can receive. A message reads `who: what; got X, want Y. What to do.`

/**
 * What went wrong, for programs: a message may be reworded, a code stays.
 *
 * | code                | class            | what a caller can do                                                     |
 * |---------------------|------------------|--------------------------------------------------------------------------|
 * | `no-webgpu`         | UnsupportedError | use another browser, or serve the page over https or from localhost      |
 * | `no-adapter`        | UnsupportedError | switch on hardware acceleration, update the driver                       |
 * | `no-worker`         | UnsupportedError | load without `worker`, or serve the worker's script as docs/api.md says  |
 * | `adapter-refused`   | UnsupportedError | use another machine or browser: a kernel does not compile on this one    |
 * | `out-of-memory`     | UnsupportedError | take a smaller model, a shorter context, a smaller format of the cache   |
 * |                     | or ModelError    | the same, where it was the browser's own memory that ran out             |
 * | `unsupported-model` | UnsupportedError | take another model: an architecture, option or file format is missing    |
 * | `bad-file`          | ModelError       | download the files again: one is damaged, incomplete, or does not fit    |
 * | `not-found`         | ModelError       | correct the address: there is no model, or its files are not there       |
 * | `not-public`        | ModelError       | check the name: the host does not tell whether it is absent or private   |
 * | `gated`             | ModelError       | accept the licence on the host's page, pick the downloaded files         |
 * | `network`           | ModelError       | try again: what arrived is kept                                          |
 * | `storage-full`      | ModelError       | delete kept models (`kept`), or load with `keep: false`                  |
 * | `bad-option`        | InputError       | correct the option that the message names                                |
 * | `bad-source`        | InputError       | give a URL, a path, a hub id, or the files of one model                  |
 * | `bad-prompt`        | InputError       | correct the prompt: empty, unknown token ids, or messages that the chat  |
 * |                     |                  | template refuses                                                         |
 * | `context-too-small` | InputError       | shorten the prompt, or load with a larger context                        |
 * | `other-engine`      | InputError       | open it with the model and recipe that the message names, or delete it   |
 * | `disposed`          | InputError       | load the model, or open the session, again                               |
 * | `no-timestamps`     | InputError       | do without `engine.profile`: this adapter cannot time kernels            |
 * | `device-lost`       | DeviceLostError  | load the model again                                                     |
 * | `worker-lost`       | WorkerLostError  | load the model again                                                     |
 */
export type ErrorCode = UnsupportedCode | ModelCode | InputCode | "device-lost" | "worker-lost";

/** Codes of UnsupportedError. */
export type UnsupportedCode =
  "no-webgpu" | "no-adapter" | "no-worker" | "adapter-refused" | "out-of-memory" | "unsupported-model";

/** Codes of ModelError. */
export type ModelCode =
  "bad-file" | "not-found" | "not-public" | "gated" | "network" | "storage-full" | "out-of-memory";

/** Codes of InputError. */
export type InputCode =
  "bad-option" | "bad-source" | "bad-prompt" | "context-too-small" | "other-engine" | "disposed" | "no-timestamps";

/** A GGUF file that can be loaded instead. */
export interface GgufChoice {
  /** For `load`. */
  source: string;
  /** As its name says: "Q4_K_M". */
  precision: string;
  /** Of all its parts; null where the host did not say. */
  bytes: number | null;
}

interface ErrorDetails<Code extends ErrorCode> {
  /** Default: what the class names as its own. */
  code?: Code;
  cause?: unknown;
}

/** Base class of every error that a caller can receive. */
export abstract class EngineError extends Error {
  /** See ErrorCode. */
  abstract readonly code: ErrorCode;
}

/** The browser, the adapter or the engine lacks something that this model needs. Code by default: `unsupported-model`. */
export class UnsupportedError extends EngineError {
  override readonly name = "UnsupportedError";
  /** See ErrorCode. */
  readonly code: UnsupportedCode;

  constructor(message: string, details: ErrorDetails<UnsupportedCode> = {}) {
    super(message, details);
    this.code = details.code ?? "unsupported-model";
  }
}

/** A model file is missing, damaged or contradicts another one. Code by default: `bad-file`. */
export class ModelError extends EngineError {
  override readonly name = "ModelError";
  /** See ErrorCode. */
  readonly code: ModelCode;
  /** Where a repository holds no checkpoint but GGUF files: those that run, the best choice first. */
  readonly choices: readonly GgufChoice[];

  constructor(message: string, details: ErrorDetails<ModelCode> & { choices?: readonly GgufChoice[] } = {}) {
    super(message, details);
    this.code = details.code ?? "bad-file";
    this.choices = details.choices ?? [];
  }
}

/** The caller asked for something impossible: a prompt longer than the context, an option out of range. Code by default: `bad-option`. */
export class InputError extends EngineError {
  override readonly name = "InputError";
  /** See ErrorCode. */
  readonly code: InputCode;

  constructor(message: string, details: ErrorDetails<InputCode> = {}) {
    super(message, details);
    this.code = details.code ?? "bad-option";
  }
}

/** The GPU went away (driver reset, out of memory) and could not be replaced, or too often. Load the model again. */
export class DeviceLostError extends EngineError {
  override readonly name = "DeviceLostError";
  /** See ErrorCode. */
  readonly code = "device-lost";
}

/** The worker of an engine went away (out of memory, terminated). Load the model again. */
export class WorkerLostError extends EngineError {
  override readonly name = "WorkerLostError";
  /** See ErrorCode. */
  readonly code = "worker-lost";
}

/** Checks an invariant. A failure is a bug in this library, never in the caller's code. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** Number of blocks of `size` that cover `count`. */
export const ceilDiv = (count: number, size: number): number => Math.ceil(count / size);

/** `value` rounded up to a multiple of `size`. */
export const alignUp = (value: number, size: number): number => Math.ceil(value / size) * size;

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

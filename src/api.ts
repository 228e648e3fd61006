// The public types, and the lists they come from. Implementations live in the rooms below; src/index.ts re-exports
// everything an embedder needs. Errors and their codes: src/errors.ts.

export type * from "./attended.ts";
export type * from "./completions.ts";
export type * from "./events.ts";
export type * from "./figures.ts";
export type * from "./footprint.ts";
export type * from "./generation.ts";
export type * from "./prompts.ts";
export type * from "./sessions.ts";
export type * from "./students.ts";
import type { ChatCompletions, Constraint, ConstraintSpec } from "./completions.ts";
import type { EngineEvent, LoadProgress } from "./events.ts";
import type { EvaluateOptions, Evaluation, KernelTime, ModelFlops } from "./figures.ts";
import type { GenerateOptions, Generation, Sampling } from "./generation.ts";
import type { ChatPrompt, Message, Prompt } from "./prompts.ts";
import type { Conversation, Prefixes, ResumeOptions, SavedSession, SavedSessions } from "./sessions.ts";
import type { CalibrateOptions, CalibrationInfo, DistillationInfo } from "./students.ts";

/** Where a model comes from. */
export type ModelSource =
  /** `https://…/dir/`, `https://…/file.gguf`, a path on this origin (`/models/x/`), or a hub id `org/name[@revision]`. */
  | string
  /** Files the user picked or dropped: a checkpoint directory or a single .gguf. */
  | readonly File[]
  | FileList
  | FileSystemDirectoryHandle;

/**
 * How keys and values are stored: f32 exact, f16 (the default) half of it; int8 and int4 (a scale and a minimum per
 * token and head) about a quarter and an eighth, and lossy.
 */
export const KV_FORMATS = ["f16", "f32", "int8", "int4"] as const;
/** One of KV_FORMATS. */
export type KvFormat = (typeof KV_FORMATS)[number];

/**
 * How keys and values are kept: a format of KV_FORMATS, systems with options, or both joined by `+`, as in
 * `"pyramid:budget=512+kivi:bits=2"`; the same as an object. `parseRecipe` reads and prices it.
 */
export type RecipeSpec =
  string | { format?: KvFormat; systems?: readonly ({ name: string } & Readonly<Record<string, string | number>>)[] };

/** What a cache must know of a model: enough to price a recipe. */
export interface KvModel {
  /** D */
  hiddenSize: number;
  /** L */
  layers: number;
  /** H */
  heads: number;
  /** G */
  kvHeads: number;
  /** E */
  headWidth: number;
  /** [L] keys further back than this are not seen; 0: all are. */
  windows: readonly number[];
  /** Tokens the model was trained for. */
  context: number;
  /** K and G; null: every token runs through every layer. */
  swiftkv: SwiftKv | null;
}

/** How weight matrices are stored on the GPU. `keep` leaves 4-bit, 8-bit, f16 and f32 as the file has them (bf16 becomes f16). */
export type WeightFormat = "keep" | "f32" | "f16" | "q8" | "q4";

/** SwiftKV: prompt tokens run layers 0 … layers−1 only; the keys and values of the others come from what enters layer `layers`. */
export interface SwiftKv {
  /** K: ordinary layers, 0 to L. */
  layers: number;
  /** G: that many of the later layers in a row share one cache (AcrossKV). Divides L − K. */
  group: number;
}

/** What `load` takes. Throws InputError (code "bad-option") for a value that cannot be. */
export interface LoadOptions {
  /**
   * Use this device instead of requesting one, or what makes one: again for each that is lost. The caller destroys them. Not
   * with `worker`: a device cannot leave its thread.
   */
  device?: GPUDevice | (() => Promise<GPUDevice>);
  /**
   * Whether the engine runs in a worker of its own, so that the page's thread stays free; `dispose` ends it. Default false.
   * A function starts it: `() => new Worker(url, { type: "module" })`, of the package's script `longprompt/worker`.
   */
  worker?: boolean | (() => Worker);
  /** Default "f16". */
  kv?: RecipeSpec;
  /** Default "keep". */
  weights?: WeightFormat;
  /**
   * Default: as the checkpoint says. `{ layers, group }` converts an ordinary model into an undistilled SwiftKV student
   * (it answers badly until it is distilled), unless the checkpoint was trained for just that; `false` runs a SwiftKV
   * checkpoint as the ordinary model it came from.
   */
  swiftkv?: SwiftKv | boolean;
  /**
   * A calibrated student of this very model, as `saveStudent` or `npm run convert` wrote it: a directory or URL with
   * student.safetensors, or the file. It brings its own shape; `swiftkv` may repeat it.
   */
  student?: ModelSource | File;
  /**
   * Weights that cache systems of the recipe were trained to have on this very model (`locret`, `less`): addresses of
   * .safetensors files, or the files. docs/kv.md, "Trained files".
   */
  trained?: string | File | readonly (string | File)[];
  /** Keeps a SwiftKV checkpoint's ordinary projections too, so that `convert(engine, false)` works. Default false. */
  teacher?: boolean;
  /** Tokens of context over all sequences together, rounded up to a multiple of 32. Default: what the model was trained for, at most 32768. */
  context?: number;
  /**
   * Tokens of context that memory is taken for at load. More is taken as it is used, at least twice as much each time, up to
   * `context`; a request for which there is none fails with code "out-of-memory". Default 4096; 8192 without a GPU.
   */
  reserve?: number;
  /** Prompt tokens per prefill step. Default 512. */
  chunk?: number;
  /** Most sequences decoded in one step. Default 4. */
  sequences?: number;
  /** Most bytes of one buffer of the cache, which lies in several where it is larger. Default: what the adapter allows. */
  arenaBytes?: number;
  /**
   * Bytes that weights, cache and scratch may take on the GPU, with the whole context in use. What is left open of `kv` and
   * `context` is chosen so that it fits: the whole context in f16, else in int8, else with kivi:bits=4, else a shorter one.
   * Where it cannot fit, `load` fails before the download, with code "out-of-memory" and what would. Default: no limit.
   */
  memory?: number;
  /**
   * "auto" (default) begins with kernels that suit the kind of adapter, compiles those for long prompts after the first reply,
   * measures others while the engine is idle, three seconds in all, and remembers what is faster; what is open then waits for
   * the next visit. "wait" does all this before `load` resolves, "off" compiles before and does not measure.
   */
  tune?: "auto" | "wait" | "off";
  /**
   * Reads prompts with rows rounded to 8 bits, where weights have 8 bits or fewer: integer products, which many GPUs do several
   * times as fast. Queries, keys, values, attention and decoded tokens stay as they are. What it costs: docs/quality.md. Where
   * the browser's WGSL lacks them, as where weights have 16 or 32 bits, nothing changes; `stats().variants` says what is so.
   * Default false.
   */
  int8Products?: boolean;
  /**
   * Reads prompts by subgroup matrices, where the browser offers them (Chromium's experiment, behind a flag): rows and weights as
   * f16 with sums in f32, by the instructions that GPUs have for small matrices. For weights of 16 bits or fewer, and for the
   * same products as `int8Products`, which stands back where both are asked for. What it costs: docs/quality.md. Where it is not
   * offered nothing changes; `stats().variants` says which products prompts have. Default false.
   */
  matrixProducts?: boolean;
  /**
   * Whether files from other origins are kept in this browser, so that the next load needs no network (default). `false`
   * neither looks there nor leaves anything.
   */
  keep?: boolean;
  /** SHA-256 of files, by name, in hexadecimal: what comes is compared with it. The hub's own are known without. */
  sha256?: Readonly<Record<string, string>>;
  /** Access token for gated and private models. Sent to the hub alone, and stored nowhere. */
  token?: string;
  /** Called as loading goes on, often. */
  onProgress?: (progress: LoadProgress) => void;
  /** Called as the device is lost and replaced: docs/api.md, "A lost device". */
  onEvent?: (event: EngineEvent) => void;
  /** Ends the load: it rejects with the reason, and leaves nothing behind. */
  signal?: AbortSignal;
}

/** What a second engine on the same weights may have differently; the default is what the first one has. */
export type ConvertOptions = Pick<
  LoadOptions,
  "student" | "trained" | "keep" | "token" | "sha256" | "tune" | "signal"
> &
  Pick<
    LoadOptions,
    "kv" | "context" | "reserve" | "chunk" | "sequences" | "arenaBytes" | "int8Products" | "matrixProducts"
  > &
  CalibrateOptions;

/** A part of a file of a checkpoint. The parts of a file come one after another, and files one after another. */
export interface FilePiece {
  /** e.g. "model.safetensors" */
  file: string;
  /** What follows the piece before. */
  bytes: Uint8Array<ArrayBuffer>;
}

/** Replies that end together, as of one conversation. Keys and values of earlier prompts are the engine's, and reused. */
export interface Session {
  /**
   * Throws InputError before any work if the prompt does not fit into the context. Where the replies under way together
   * exceed the context, later ones wait; none fails because of another. Errors on the way reject `result`.
   */
  generate(prompt: Prompt, options?: GenerateOptions): Generation;
  /**
   * Goes on with the last reply where it was cut, by `maxTokens` (now: of new ones) or an abort, with the tokens that it would
   * have had. What is iterated is new, `result` is of the whole reply. Throws InputError where there is no such reply.
   */
  resume(options?: ResumeOptions): Generation;
  /** What was asked last and what came, once it has ended; null before, and after an error. */
  conversation(): Promise<Conversation | null>;
  /** Another session that goes on from the same place; neither sees what the other does. */
  fork(): Session;
  /**
   * Keeps the conversation, and what the cache holds of it, in this browser under a name, in place of what had that name: for
   * `Engine.open`. Waits for a reply under way. Throws ModelError with code "storage-full", and then leaves what was there.
   */
  save(name: string): Promise<SavedSession>;
  /** Aborts the replies under way, which give their cache back; later calls throw InputError. Idempotent. */
  dispose(): void;
}

/** What the engine runs on. */
export interface AdapterInfo {
  /** e.g. "nvidia · NVIDIA H200" or "google · SwiftShader". */
  name: string;
  /** Runs on the CPU: expect a hundredth of a GPU's speed. */
  software: boolean;
  /** Of WebGPU, sorted by name. */
  features: readonly string[];
}

/** What was loaded. */
export interface ModelInfo {
  /** e.g. "LlamaForCausalLM". */
  architecture: string;
  /** Directory, hub id or file name without .gguf. */
  name: string;
  /** Number of weights. */
  parameters: number;
  /** L */
  layers: number;
  /** V */
  vocabulary: number;
  /** Tokens of context allocated for this engine. */
  context: number;
  /** Tokens of context the model was trained for. */
  trainedContext: number;
  /** Prompts may be messages. */
  hasChatTemplate: boolean;
  /** Messages may hold pictures: `{ type: "image", image }`. */
  seesPictures: boolean;
  /** What the chat template reads beside the conversation: names for `ChatPrompt.variables`, such as "enable_thinking". */
  templateVariables: readonly string[];
  /** Sampling defaults from generation_config.json (the engine's own default stays greedy). */
  sampling: Sampling;
  /** How this engine runs it; null = every token through every layer. */
  swiftkv: SwiftKv | null;
  /** What prices a recipe for this model: `parseRecipe("int8").price(model.kvShape, 4096)`. */
  kvShape: KvModel;
  /** The recipe by which it keeps keys and values, with every option. */
  kv: string;
  /** What must be known of its systems together, a sentence each; none where nothing speaks against them. */
  kvWarnings: readonly string[];
  /** The ordinary projections of every layer are on the GPU: `convert` can switch SwiftKV on, off, or over. */
  convertible: boolean;
  /** The SwiftKV projections were made by `convert` alone, not by training. */
  undistilled: boolean;
  /** How they were fitted, where they were calibrated. */
  calibration: CalibrationInfo | null;
  /** How they were trained, where `distil` did that. */
  distillation: DistillationInfo | null;
  /** Of the ordinary weights: a student goes with the model of the same hash. */
  hash: string;
  /** What a token costs. */
  flops: ModelFlops;
}

/** How a recipe that brings back parts of prompts fares, since load; null under any other. */
export interface RecallStats {
  /** Tokens that chose what they read of their prompts, and whether each reads what the one before it chose. */
  tokens: number;
  /** Each token reads what the one before it chose. */
  late: boolean;
  /** [layers] of the parts wanted, the share that was there; null where a layer has chosen nothing. */
  hitRates: readonly (number | null)[];
  /** Bytes of values in JavaScript's memory, and of those that went to the GPU from there. */
  hostBytes: number;
  /** Bytes that went to the GPU from there. */
  uploadedBytes: number;
}

/** What an engine has taken and done since it was loaded. Bytes are on the GPU. */
export interface EngineStats {
  /** What it runs on. */
  adapter: AdapterInfo;
  /** Milliseconds from the call of `load` to its end. */
  loadMs: number;
  /** Of matrices and vectors, as they lie on the GPU. */
  weightBytes: number;
  /** Allocated for keys and values. */
  kvBytes: number;
  /** Of a prompt as long as the context, under this recipe. */
  kvBytesPerToken: number;
  /** Most bytes of the cache that running replies held at once: pages, and what stands for prompts beside them. */
  kvPeakBytes: number;
  /** Whether prompts are streamed past SwiftKV's boundary, and why: as `RecipePrice.streaming`. */
  kvStreaming: string | null;
  /** Under ShadowKV with values in main memory; else null. */
  recall: RecallStats | null;
  /** Activations, tables, staging. */
  scratchBytes: number;
  /** How often a reply gave its room to an older one and was computed again. */
  preemptions: number;
  /** How often the device was lost. */
  deviceLosses: number;
  /** Kernel variant that measured fastest, by kernel family and shape. */
  variants: Readonly<Record<string, string>>;
  /** Counts since load: what CI asserts. */
  submits: number;
  /** Of kernels. */
  dispatches: number;
  /** Buffers that were read. */
  readbacks: number;
  /** Bytes of them. */
  readbackBytes: number;
  /** Buffers, bind groups and pipelines. */
  objectsCreated: number;
}

/** A model that is loaded. Calls after `dispose` throw or reject with InputError, code "disposed". */
export interface Engine {
  /** What was loaded. */
  readonly model: ModelInfo;
  /** Conversations in the shape of OpenAI's interface, tools and JSON among them. */
  readonly chat: { readonly completions: ChatCompletions };
  /** A conversation, or several requests that end together. */
  session(): Session;
  /**
   * A session that was saved, on any visit, by an engine of the same model and recipe (InputError, code "other-engine"). What it
   * had in the cache is read, not computed, once replies asked for before have ended. Throws ModelError with code "bad-file" where that is damaged.
   */
  open(name: string): Promise<Session>;
  /** Conversations that were saved. */
  readonly sessions: SavedSessions;
  /** Beginnings of prompts that are kept. */
  readonly prefixes: Prefixes;
  /**
   * A grammar that replies are held to. The first fetches the package @mlc-ai/web-xgrammar. Throws InputError for what cannot
   * be kept, UnsupportedError without the package.
   */
  constraint(spec: ConstraintSpec): Promise<Constraint>;
  /** `addSpecial: false` leaves out what the tokenizer puts around a text: for what `render` gives, and for continuations. */
  tokenize(text: string, options?: { addSpecial?: boolean }): number[];
  /** The text of some tokens, control tokens included. */
  detokenize(tokens: readonly number[]): string;
  /** The prompt as the model's chat template writes it, opened for the assistant's reply. */
  render(messages: readonly Message[], options?: Omit<ChatPrompt, "messages">): string;
  /** Natural-log likelihood of each token given those before it; entry 0 (no context) is NaN. Length = tokens.length. */
  score(tokens: readonly number[], options?: { signal?: AbortSignal }): Promise<Float32Array>;
  /**
   * Teacher forcing, through the cache as generation uses it: the prompt is read, and compressed where the recipe says so;
   * then the continuation is decoded token by token as if each had been sampled. (`score` computes the text as one prompt,
   * which a lossy cache hardly touches.) Nothing of earlier prompts is reused. Throws InputError for tokens that do not
   * exist or do not fit into the context; rejects with the signal's reason.
   */
  evaluate(prompt: readonly number[], continuation: readonly number[], options?: EvaluateOptions): Promise<Evaluation>;
  /**
   * Times every dispatch of one step alone: a prompt chunk of `tokens` tokens, or one decoded token after `tokens`
   * tokens of context. Needs an idle engine and the timestamp-query feature (InputError without).
   */
  profile(phase: "prefill" | "decode", tokens: number): Promise<KernelTime[]>;
  /** As of now; in a worker, as it told last. */
  stats(): EngineStats;
  /** Frees all GPU memory. Idempotent. */
  dispose(): void;
}

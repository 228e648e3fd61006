// load(): the only place that composes the rooms.
import type {
  Engine,
  EngineStats,
  KernelTime,
  LoadOptions,
  LoadProgress,
  Message,
  ModelInfo,
  ModelSource,
  Sampling,
  Session,
} from "./api.ts";
import { TokenEngine } from "./engine/engine.ts";
import { alignUp, InputError, ModelError } from "./errors.ts";
import { Gpu } from "./gpu/device.ts";
import { type Checkpoint, openCheckpoint } from "./io/checkpoint.ts";
import { remembered } from "./io/remember.ts";
import { BLOCK_TOKENS } from "./kv/blocks.ts";
import { CODECS } from "./kv/store.ts";
import { type ModelConfig, parseConfig } from "./model/config.ts";
import { nameWeights } from "./model/llama.ts";
import { modelCost } from "./model/cost.ts";
import { Transformer } from "./model/transformer.ts";
import { Variants } from "./model/variants.ts";
import { toFloats, WeightLoader } from "./model/weights.ts";
import { ChatSession, render, type Speaker } from "./session.ts";
import { ChatTemplate } from "./text/chat.ts";
import { tokenizerFromGguf } from "./text/gguf.ts";
import { Tokenizer } from "./text/tokenizer.ts";

/** Context where the caller names none: what fits beside the weights on small GPUs. */
const DEFAULT_CONTEXT = 8192;
const DEFAULT_CHUNK = 512;
const DEFAULT_SEQUENCES = 4;

type Settings = Required<Pick<LoadOptions, "kv" | "weights" | "chunk" | "sequences" | "arenaBytes" | "tune">>;

/**
 * Loads a model and compiles its kernels. Throws UnsupportedError (browser, adapter or architecture), ModelError (bad
 * files), InputError (bad options) or the signal's reason; whatever was allocated is freed again.
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Engine> {
  const started = performance.now();
  const settings = checkOptions(options);
  const { signal } = options;
  const report = (progress: Partial<LoadProgress> & Pick<LoadProgress, "phase">) =>
    options.onProgress?.({ loadedBytes: 0, totalBytes: 0, item: "", ...progress });
  report({ phase: "open" });
  const gpu = await Gpu.open(options.device);
  let checkpoint: Checkpoint | null = null;
  try {
    checkpoint = await openCheckpoint(source, {
      signal,
      onBytes: (loadedBytes, totalBytes, item) =>
        report({ phase: totalBytes > 0 ? "download" : "open", loadedBytes, totalBytes, item }),
    });
    const config = await readConfig(checkpoint);
    report({ phase: "tokenizer" });
    const speaker = makeSpeaker(checkpoint);
    const { transformer, variants, parameters } = await gpu.guardMemory(() =>
      loadModel(gpu, checkpoint!, config, settings, options, report),
    );
    const engine = new TokenEngine(transformer);
    const info = describe(checkpoint, config, transformer, parameters, speaker.template !== null);
    report({ phase: "ready" });
    const loadMs = performance.now() - started;
    return new LoadedEngine({ gpu, transformer, variants, info, speaker: { ...speaker, engine }, loadMs });
  } catch (error) {
    gpu.dispose();
    throw error;
  } finally {
    checkpoint?.close();
  }
}

function choice<T extends string>(name: keyof LoadOptions, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value)) throw new InputError(`${name}: got "${value}", want one of ${allowed.join(", ")}.`);
  return value;
}

function checkOptions(options: LoadOptions): Settings & { context: number | null } {
  const count = (
    name: "context" | "chunk" | "sequences" | "arenaBytes",
    fallback: number,
    least: number,
    most: number,
  ): number => {
    const value = options[name] ?? fallback;
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new InputError(`${name}: got ${value}, want a whole number from ${least} to ${most}.`);
    }
    return value;
  };
  return {
    kv: choice("kv", options.kv ?? "f16", ["f32", "f16", "int8"]),
    weights: choice("weights", options.weights ?? "keep", ["keep", "f32", "f16", "q8", "q4"]),
    tune: choice("tune", options.tune ?? "auto", ["auto", "off"]),
    context: options.context === undefined ? null : count("context", 0, 2, 1 << 24),
    chunk: count("chunk", DEFAULT_CHUNK, 1, 8192),
    sequences: count("sequences", DEFAULT_SEQUENCES, 1, 8),
    arenaBytes: count("arenaBytes", 2 ** 31, 1024, 2 ** 40),
  };
}

/** A GGUF carries llama3 RoPE scaling as divisors in a tensor. */
async function readConfig(checkpoint: Checkpoint): Promise<ModelConfig> {
  const divisors = checkpoint.tensors.get("rope_freqs.weight");
  if (!divisors) return parseConfig(checkpoint.config);
  const values = toFloats(divisors.type, await checkpoint.read("rope_freqs.weight"));
  return parseConfig(checkpoint.config, { ropeDivisors: [...values] });
}

function makeSpeaker({
  tokenizer,
  gguf,
  chatTemplate,
  generationConfig,
  config,
  name,
}: Checkpoint): Omit<Speaker, "engine"> {
  const files = tokenizer ?? (gguf && tokenizerFromGguf(gguf));
  if (!files) throw new ModelError(`${name}: no tokenizer; got no tokenizer.json, want one beside config.json.`);
  const made = Tokenizer.create(files);
  const template = chatTemplate === null ? null : new ChatTemplate(chatTemplate, made.specials);
  const ends = [generationConfig.eos_token_id, config.eos_token_id].flat().filter((id) => typeof id === "number");
  const named = made.specials.eos_token === undefined ? null : made.idOf(made.specials.eos_token);
  return { tokenizer: made, template, endTokens: new Set(named === null ? ends : [...ends, named]) };
}

type Report = (progress: Partial<LoadProgress> & Pick<LoadProgress, "phase">) => void;

async function loadModel(
  gpu: Gpu,
  checkpoint: Checkpoint,
  config: ModelConfig,
  settings: ReturnType<typeof checkOptions>,
  { signal }: LoadOptions,
  report: Report,
) {
  const loader = new WeightLoader(gpu, checkpoint, settings.weights);
  const weights = nameWeights(loader, config);
  const variants = new Variants(gpu, config, CODECS[settings.kv].bits);
  const context = alignUp(settings.context ?? Math.min(config.context, DEFAULT_CONTEXT), BLOCK_TOKENS);
  const rows = Math.min(settings.chunk, context);
  const { kv, sequences: slots, arenaBytes } = settings;
  const transformer = new Transformer(gpu, config, weights, variants, {
    codec: CODECS[kv],
    context,
    rows,
    slots,
    arenaBytes,
  });
  await loader.load(signal);
  if (settings.tune === "auto") {
    report({ phase: "tune" });
    await transformer.tune(remembered(gpu.fingerprint));
  }
  report({ phase: "compile" });
  signal?.throwIfAborted();
  await transformer.compile();
  return { transformer, variants, parameters: loader.parameters };
}

function describe(
  checkpoint: Checkpoint,
  config: ModelConfig,
  { limits }: Transformer,
  parameters: number,
  hasChatTemplate: boolean,
): ModelInfo {
  return {
    architecture: config.architecture,
    name: checkpoint.name,
    parameters,
    layers: config.layers,
    vocabulary: config.vocabulary,
    context: limits.blocks * BLOCK_TOKENS,
    trainedContext: config.context,
    hasChatTemplate,
    sampling: samplingDefaults(checkpoint.generationConfig),
    flops: modelCost(config),
  };
}

/** generation_config.json in our words. do_sample: false means greedy, whatever temperature says. */
function samplingDefaults(generation: Readonly<Record<string, unknown>>): Sampling {
  if (generation.do_sample !== true) return { temperature: 0 };
  const names = {
    temperature: "temperature",
    top_k: "topK",
    top_p: "topP",
    min_p: "minP",
    repetition_penalty: "repetitionPenalty",
  } as const;
  const entries = Object.entries(names).map(([theirs, ours]) => [ours, generation[theirs]] as const);
  return { temperature: 1, ...Object.fromEntries(entries.filter(([, value]) => typeof value === "number")) };
}

interface Loaded {
  gpu: Gpu;
  transformer: Transformer;
  variants: Variants;
  info: ModelInfo;
  speaker: Speaker;
  loadMs: number;
}

class LoadedEngine implements Engine {
  readonly model: ModelInfo;
  readonly #parts: Loaded;
  readonly #sessions = new Set<ChatSession>();
  #disposed = false;

  constructor(parts: Loaded) {
    this.#parts = parts;
    this.model = parts.info;
  }

  session(): Session {
    if (this.#disposed) throw new InputError("engine: it was disposed; got a call, want none. Load the model again.");
    const session = new ChatSession(this.#parts.speaker);
    this.#sessions.add(session);
    return session;
  }

  tokenize(text: string): number[] {
    return this.#parts.speaker.tokenizer.encode(text);
  }

  detokenize(tokens: readonly number[]): string {
    return this.#parts.speaker.tokenizer.decode(tokens);
  }

  render(messages: readonly Message[]): string {
    return render(this.#parts.speaker, messages);
  }

  score(tokens: readonly number[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.#parts.speaker.engine.score(tokens, signal);
  }

  profile(phase: "prefill" | "decode", tokens: number): Promise<KernelTime[]> {
    return this.#parts.speaker.engine.overwriting(() => this.#parts.transformer.profile(phase, tokens));
  }

  stats(): EngineStats {
    const { gpu, transformer, variants, loadMs } = this.#parts;
    const { weights: weightBytes, kv: kvBytes, scratch: scratchBytes } = gpu.bytes;
    const { kvBytesPerToken } = transformer;
    const measured = { loadMs, weightBytes, kvBytes, scratchBytes, kvBytesPerToken };
    return { adapter: gpu.adapter, ...measured, variants: variants.chosen, ...gpu.counts };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const session of this.#sessions) session.dispose();
    this.#parts.gpu.dispose();
  }
}

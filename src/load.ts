// load(): the only place that composes the rooms.
import type {
  ConvertOptions,
  Engine,
  EngineStats,
  KernelTime,
  LoadOptions,
  KvModel,
  LoadProgress,
  Message,
  ModelInfo,
  ModelSource,
  Sampling,
  Session,
  SwiftKv,
} from "./api.ts";
import { ChatSession, render, type Speaker } from "./chat/session.ts";
import { TokenEngine } from "./engine/engine.ts";
import { alignUp, InputError, ModelError } from "./errors.ts";
import { Gpu } from "./gpu/device.ts";
import { type Checkpoint, openCheckpoint } from "./io/checkpoint.ts";
import { remembered } from "./io/remember.ts";
import { BLOCK_TOKENS } from "./kv/blocks.ts";
import { parseRecipe, type Recipe } from "./kv/recipe.ts";
import type { KvBounds } from "./kv/system.ts";
import { layoutOf, sameShape, shapeProblem } from "./kv/systems/swiftkv/layout.ts";
import { type ModelConfig, parseConfig } from "./model/config.ts";
import { nameWeights } from "./model/families/llama.ts";
import { modelCost } from "./model/cost.ts";
import type { Weights } from "./model/context.ts";
import { makeStudent, teacherOf } from "./model/swiftkv/student.ts";
import { Transformer } from "./model/transformer.ts";
import { Variants } from "./model/ops/variants.ts";
import { toFloats, WeightLoader } from "./model/weights/loader.ts";
import { ChatTemplate } from "./text/chat.ts";
import { tokenizerFromGguf } from "./text/gguf.ts";
import { Tokenizer } from "./text/tokenizer.ts";

/** Context where the caller names none: what fits beside the weights on small GPUs. */
const DEFAULT_CONTEXT = 8192;
const DEFAULT_CHUNK = 512;
const DEFAULT_SEQUENCES = 4;

type Settings = Required<Pick<LoadOptions, "weights" | "chunk" | "sequences" | "arenaBytes" | "tune">> & {
  kv: Recipe;
  context: number | null;
};

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
    const read = await readConfig(checkpoint, options.swiftkv);
    report({ phase: "tokenizer" });
    const speaker = makeSpeaker(checkpoint);
    const model = await gpu.guardMemory(() => loadModel(gpu, checkpoint!, read, settings, options, report));
    report({ phase: "ready" });
    const about = {
      name: checkpoint.name,
      parameters: model.parameters,
      sampling: samplingDefaults(checkpoint.generationConfig),
    };
    return new LoadedEngine({ gpu, ...model, about, speaker, settings, loadMs: performance.now() - started });
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

/**
 * A second engine on the device and the weights of `engine`: an undistilled SwiftKV student of it (the trained one, where
 * the checkpoint was trained for that shape), or with `false` the ordinary model. It has a cache of its own; weights that
 * both use stay until both are disposed. Throws InputError for a shape the model cannot have, or where the ordinary
 * projections are not on the GPU.
 */
export function convert(engine: Engine, swiftkv: SwiftKv | false, options: ConvertOptions = {}): Promise<Engine> {
  if (!(engine instanceof LoadedEngine)) {
    throw new InputError("convert: engine; got something else, want what load() returned. Pass that.");
  }
  return engine.twin(swiftkv, options);
}

function checkOptions(options: LoadOptions): Settings {
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
    kv: parseRecipe(options.kv ?? "f16"),
    weights: choice("weights", options.weights ?? "keep", ["keep", "f32", "f16", "q8", "q4"]),
    tune: choice("tune", options.tune ?? "auto", ["auto", "off"]),
    context: options.context === undefined ? null : count("context", 0, 2, 1 << 24),
    chunk: count("chunk", DEFAULT_CHUNK, 1, 8192),
    sequences: count("sequences", DEFAULT_SEQUENCES, 1, 8),
    arenaBytes: count("arenaBytes", 2 ** 31, 1024, 2 ** 40),
  };
}

/** The configuration that is loaded, and what it is converted to afterwards. */
interface ReadConfig {
  config: ModelConfig;
  student: SwiftKv | null;
}

/** A GGUF carries llama3 RoPE scaling as divisors in a tensor. */
async function readConfig(checkpoint: Checkpoint, swiftkv: LoadOptions["swiftkv"]): Promise<ReadConfig> {
  const divisors = checkpoint.tensors.get("rope_freqs.weight");
  const values = divisors && toFloats(divisors.type, await checkpoint.read("rope_freqs.weight"));
  const parse = (trained: boolean): ModelConfig =>
    parseConfig(checkpoint.config, { ...(values ? { ropeDivisors: [...values] } : {}), swiftkv: trained });
  const config = parse(swiftkv !== false);
  if (swiftkv === true && !config.swiftkv) {
    throw new InputError(
      `swiftkv: got true, but ${checkpoint.name} is an ordinary model. Give { layers, group } to convert it.`,
    );
  }
  if (typeof swiftkv !== "object" || sameShape(config.swiftkv, swiftkv)) return { config, student: null };
  return { config: parse(false), student: checkShape(swiftkv, config) };
}

/** null where all layers stay ordinary. */
function checkShape(shape: SwiftKv, { layers }: ModelConfig): SwiftKv | null {
  const problem = shapeProblem(shape, layers);
  if (problem) throw new InputError(`swiftkv.${problem.field}: ${problem.text}.`);
  return shape.layers === layers ? null : shape;
}

/** What turns text into tokens and back. */
type Words = Omit<Speaker, "engine" | "kvBytesPerToken">;

function makeSpeaker({ tokenizer, gguf, chatTemplate, generationConfig, config, name }: Checkpoint): Words {
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
  { config, student }: ReadConfig,
  settings: Settings,
  { signal, teacher = false }: LoadOptions,
  report: Report,
): Promise<Running & { parameters: number }> {
  const loader = new WeightLoader(gpu, checkpoint, settings.weights);
  const weights = nameWeights(loader, config, layoutOf(config.layers, config.swiftkv), { teacher });
  // Before the download, so that a cache too large for this adapter is known at once.
  const early = student ? null : assemble(gpu, config, weights, settings);
  await loader.load(signal);
  const model = early ?? (await assembleStudent(gpu, { ...config, swiftkv: student }, weights, settings));
  await makeReady(model, settings, { report, signal });
  return { ...model, parameters: loader.parameters };
}

/** A model with a cache, as it runs. */
interface Running {
  config: ModelConfig;
  weights: Weights;
  variants: Variants;
  transformer: Transformer;
  recipe: Recipe;
  bounds: KvBounds;
}

function assemble(gpu: Gpu, config: ModelConfig, weights: Weights, settings: Settings): Running {
  const { kv: recipe, sequences, chunk, arenaBytes } = settings;
  recipe.check(config);
  const context = alignUp(settings.context ?? Math.min(config.context, DEFAULT_CONTEXT), BLOCK_TOKENS);
  const bounds = { context, rows: Math.min(chunk, context), sequences };
  const kv = recipe.resolve(kvModelOf(config), bounds);
  const variants = new Variants(gpu, config, kv.written.bits);
  const transformer = new Transformer(gpu, config, weights, variants, { ...bounds, kv, arenaBytes });
  return { config, weights, variants, transformer, recipe, bounds };
}

const kvModelOf = ({ layers, heads, kvHeads, headWidth, windows, context, swiftkv }: ModelConfig): KvModel => ({
  layers,
  heads,
  kvHeads,
  headWidth,
  windows,
  context,
  swiftkv,
});

async function assembleStudent(gpu: Gpu, config: ModelConfig, weights: Weights, settings: Settings): Promise<Running> {
  return assemble(gpu, config, await makeStudent(gpu, config, weights), settings);
}

/** Kernels chosen and compiled. */
async function makeReady(
  { transformer }: Running,
  { tune }: Settings,
  { report, signal }: { report: Report; signal: AbortSignal | undefined },
): Promise<void> {
  if (tune === "auto") {
    report({ phase: "tune" });
    await transformer.tune(remembered(transformer.fingerprint));
  }
  report({ phase: "compile" });
  signal?.throwIfAborted();
  await transformer.compile();
}

/** What no conversion changes. */
type About = Pick<ModelInfo, "name" | "parameters" | "sampling">;

function describe({ about, config, weights, recipe, bounds, speaker }: Loaded): ModelInfo {
  return {
    ...about,
    architecture: config.architecture,
    layers: config.layers,
    vocabulary: config.vocabulary,
    context: bounds.context,
    trainedContext: config.context,
    hasChatTemplate: speaker.template !== null,
    swiftkv: config.swiftkv,
    kvShape: kvModelOf(config),
    kv: String(recipe),
    kvWarnings: recipe.warnings(config),
    convertible: weights.teacher !== null,
    undistilled: weights.undistilled,
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

interface Loaded extends Running {
  gpu: Gpu;
  about: About;
  speaker: Words;
  settings: Settings;
  loadMs: number;
}

class LoadedEngine implements Engine {
  readonly model: ModelInfo;
  readonly #parts: Loaded;
  readonly #speaker: Speaker;
  readonly #sessions = new Set<ChatSession>();
  #disposed = false;

  constructor(parts: Loaded) {
    this.#parts = parts;
    const { recipe, config, speaker, transformer } = parts;
    const kvBytesPerToken = (tokens: number) => recipe.price(kvModelOf(config), tokens).kvBytesPerToken;
    this.#speaker = { ...speaker, kvBytesPerToken, engine: new TokenEngine(transformer) };
    this.model = describe(parts);
  }

  async twin(swiftkv: SwiftKv | false, options: ConvertOptions): Promise<Engine> {
    this.#check();
    const started = performance.now();
    const { context, ...others } = this.#parts.settings;
    const settings = checkOptions({ ...others, ...(context === null ? {} : { context }), ...options });
    const { config: from, weights } = this.#parts;
    const config = { ...from, swiftkv: swiftkv === false ? null : checkShape(swiftkv, from) };
    const gpu = this.#parts.gpu.fork();
    try {
      const model = await gpu.guardMemory(async () => {
        if (config.swiftkv) return await assembleStudent(gpu, config, weights, settings);
        return assemble(gpu, config, teacherOf(weights), settings);
      });
      await makeReady(model, settings, { report: () => {}, signal: options.signal });
      return new LoadedEngine({ ...this.#parts, ...model, gpu, settings, loadMs: performance.now() - started });
    } catch (error) {
      gpu.dispose();
      throw error;
    }
  }

  #check(): void {
    if (this.#disposed)
      throw new InputError("engine: it was disposed; got a call, want none. Load the model again.", {
        code: "disposed",
      });
  }

  session(): Session {
    this.#check();
    const session = new ChatSession(this.#speaker);
    this.#sessions.add(session);
    return session;
  }

  tokenize(text: string): number[] {
    return this.#speaker.tokenizer.encode(text);
  }

  detokenize(tokens: readonly number[]): string {
    return this.#speaker.tokenizer.decode(tokens);
  }

  render(messages: readonly Message[]): string {
    return render(this.#speaker, messages);
  }

  score(tokens: readonly number[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.#speaker.engine.score(tokens, signal);
  }

  profile(phase: "prefill" | "decode", tokens: number): Promise<KernelTime[]> {
    return this.#speaker.engine.overwriting(() => this.#parts.transformer.profile(phase, tokens));
  }

  stats(): EngineStats {
    const { gpu, variants, loadMs, bounds } = this.#parts;
    const { weights: weightBytes, kv: kvBytes, scratch: scratchBytes } = gpu.bytes;
    const { preemptions, peakBytes: kvPeakBytes } = this.#speaker.engine;
    const kvBytesPerToken = this.#speaker.kvBytesPerToken(bounds.context);
    const measured = { loadMs, weightBytes, kvBytes, kvPeakBytes, scratchBytes, kvBytesPerToken, preemptions };
    return { adapter: gpu.adapter, ...measured, variants: variants.chosen, ...gpu.counts };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const session of this.#sessions) session.dispose();
    this.#parts.gpu.dispose();
  }
}

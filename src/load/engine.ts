// A loaded model behind the public Engine interface.
import type {
  ChatCompletionRequest,
  ChatCompletions,
  Constraint,
  ConstraintSpec,
  ConvertOptions,
  DistilOptions,
  Engine,
  EngineStats,
  EvaluateOptions,
  Evaluation,
  FilePiece,
  KernelTime,
  ChatPrompt,
  Message,
  ModelInfo,
  ModelSource,
  RequestOptions,
  Session,
  SwiftKv,
} from "../api.ts";
import { ChatSession, type Language, render, type Speaker } from "../chat/session.ts";
import { TokenEngine } from "../engine/engine.ts";
import { evaluate } from "../engine/evaluate.ts";
import { InputError } from "../errors.ts";
import type { Grammars } from "../grammar/constraint.ts";
import type { Gpu } from "../gpu/device.ts";
import { modelCost } from "../model/cost.ts";
import type { Fit } from "../model/context.ts";
import { teacherOf } from "../model/swiftkv/teacher.ts";
import { sameShape } from "../kv/systems/swiftkv/layout.ts";
import type { OwnEngine } from "../thread/own.ts";
import type { Teacher } from "./calibrate.ts";
import { assemble, assembleStudent, kvModelOf, makeReady, type RunningModel, students } from "./running.ts";
import { checkOptions, checkShape, type Settings } from "./settings.ts";

/** What an engine is made of. */
export interface LoadedModel extends RunningModel {
  gpu: Gpu;
  /** What no conversion changes. */
  identity: Pick<ModelInfo, "name" | "parameters" | "sampling" | "hash">;
  language: Language;
  settings: Settings;
  loadMs: number;
}

function describe({ identity, config, weights, recipe, bounds, language }: LoadedModel): ModelInfo {
  return {
    ...identity,
    architecture: config.architecture,
    layers: config.layers,
    vocabulary: config.vocabulary,
    context: bounds.context,
    trainedContext: config.context,
    hasChatTemplate: language.template !== null,
    templateVariables: language.template?.variables ?? [],
    swiftkv: config.swiftkv,
    kvShape: kvModelOf(config),
    kv: String(recipe),
    kvWarnings: recipe.warnings(config),
    convertible: weights.teacher !== null,
    undistilled: weights.undistilled,
    calibration: weights.fit?.made ?? null,
    distillation: weights.fit?.distilled ?? null,
    flops: modelCost(config),
  };
}

export class LoadedEngine implements OwnEngine {
  readonly model: ModelInfo;
  readonly chat: Engine["chat"];
  readonly #loaded: LoadedModel;
  readonly #speaker: Speaker;
  readonly #sessions = new Set<ChatSession>();
  #grammars: Promise<Grammars> | null = null;
  #completions: Promise<ChatCompletions> | null = null;
  /** Of `chat.completions`. */
  #replies: Session | null = null;
  #disposed = false;

  constructor(loaded: LoadedModel) {
    this.#loaded = loaded;
    const { recipe, config, language, transformer } = loaded;
    const price = (tokens: number) => recipe.price(kvModelOf(config), tokens);
    this.#speaker = { ...language, price, engine: new TokenEngine(transformer), grammars: () => this.#openGrammars() };
    this.model = describe(loaded);
    const create = async (request: ChatCompletionRequest, options?: RequestOptions) =>
      (await this.#openCompletions()).create(request, options);
    this.chat = { completions: { create: create as ChatCompletions["create"] } };
  }

  #openGrammars(): Promise<Grammars> {
    const { config, language } = this.#loaded;
    const { tokenizer, endTokens } = language;
    return (this.#grammars ??= Promise.all([
      import("../grammar/constraint.ts"),
      import("../chat/tools/formats.ts"),
    ]).then(
      ([{ Grammars }, { MARKS }]) => new Grammars({ tokenizer, size: config.vocabulary, endTokens, marks: MARKS }),
    ));
  }

  #openCompletions(): Promise<ChatCompletions> {
    const host = { model: this.model, speaker: this.#speaker, session: () => (this.#replies ??= this.session()) };
    return (this.#completions ??= import("../chat/completions/completions.ts").then(
      ({ Completions }) => new Completions(host),
    ));
  }

  /** Another engine on the same device and weights: see `convert`. */
  async convert(swiftkv: SwiftKv | boolean, options: ConvertOptions): Promise<LoadedEngine> {
    this.#check();
    if (options.student !== undefined) return this.#withStored(options.student, swiftkv, options);
    if (swiftkv === true)
      throw new InputError(
        "convert: got swiftkv true without a student, want a shape. Give { layers, group }, or a student that brings its own.",
      );
    const shape = swiftkv === false ? null : checkShape(swiftkv, this.#loaded.config);
    const fit = options.calibrate === undefined ? null : await this.#fit(shape, options);
    return this.#with(shape, fit, options);
  }

  async #withStored(
    source: NonNullable<ConvertOptions["student"]>,
    swiftkv: SwiftKv | boolean,
    options: ConvertOptions,
  ): Promise<LoadedEngine> {
    if (options.calibrate !== undefined)
      throw new InputError("convert: got calibrate and student, want one of them. Leave one out.");
    const { config, identity } = this.#loaded;
    const { readStudent, checkBase } = await students.load();
    const stored = await readStudent(source, config, swiftkv, options.signal);
    checkBase(stored, identity.name, identity.hash);
    return this.#with(stored.card.swiftkv, stored.fit, options);
  }

  /** A student trained on texts: see `distil`. */
  async distil(swiftkv: SwiftKv, options: DistilOptions): Promise<LoadedEngine> {
    this.#check();
    const shape = checkShape(swiftkv, this.#loaded.config);
    if (!shape)
      throw new InputError(
        "distil: got a shape in which every layer is ordinary, want one with fewer. Give { layers, group } with layers below the model's.",
      );
    const { distil } = await import("./distil.ts");
    const { weights, config, identity } = this.#loaded;
    const own = sameShape(config.swiftkv, shape) ? weights.fit : null;
    const fit = await this.#asOrdinary(options.signal, (teacher) =>
      distil({ ...teacher, identity, weights: teacherOf(weights), fit: own }, shape, options),
    );
    return this.#with(shape, fit, options.signal ? { signal: options.signal } : {});
  }

  /** Another engine on the same device and weights. */
  async #with(swiftkv: SwiftKv | null, fit: Fit | null, options: ConvertOptions): Promise<LoadedEngine> {
    const started = performance.now();
    const { context, reserve, ...others } = this.#loaded.settings;
    const given = { ...(context === null ? {} : { context }), ...(reserve === null ? {} : { reserve }) };
    const settings = await checkOptions({ ...others, ...given, ...options });
    const { config: from, weights } = this.#loaded;
    const config = { ...from, swiftkv };
    const gpu = this.#loaded.gpu.fork();
    try {
      const model = await gpu.guardMemory(async () => {
        if (config.swiftkv) return await assembleStudent(gpu, config, weights, settings, fit);
        return await assemble(gpu, config, teacherOf(weights), settings);
      });
      await makeReady(model, settings, { report: () => {}, signal: options.signal });
      return new LoadedEngine({ ...this.#loaded, ...model, gpu, settings, loadMs: performance.now() - started });
    } catch (error) {
      gpu.dispose();
      throw error;
    }
  }

  /** Fits a student to the texts. A SwiftKV model reads them as the ordinary model that it can be switched to. */
  async #fit(shape: SwiftKv | null, options: ConvertOptions): Promise<Fit> {
    if (!shape)
      throw new InputError(
        "calibrate: got a shape in which every layer is ordinary, want one with fewer. Give { layers, group } with layers below the model's.",
      );
    const { calibrate } = await import("./calibrate.ts");
    return this.#asOrdinary(options.signal, (teacher) => calibrate(teacher, shape, options));
  }

  /** Work with the ordinary model: this one, or what it can be switched to. */
  async #asOrdinary<T>(signal: AbortSignal | undefined, work: (teacher: Teacher) => Promise<T>): Promise<T> {
    if (!this.#loaded.config.swiftkv) return work(this.#teacher);
    const ordinary = await this.convert(false, { kv: "f16", sequences: 1, ...(signal ? { signal } : {}) });
    try {
      return await work(ordinary.#teacher);
    } finally {
      ordinary.dispose();
    }
  }

  get #teacher(): Teacher {
    return { ...this.#loaded, alone: (work) => this.#speaker.engine.overwriting(work) };
  }

  /** The file of a student: see `saveStudent`. */
  async studentFile(): Promise<Uint8Array<ArrayBuffer>> {
    const { config, identity } = this.#loaded;
    return students.now.studentBytes(this.#fitFor("saveStudent"), { config, ...identity });
  }

  /** A student and its base: see `saveCheckpoint`. */
  async *checkpointFiles(source: ModelSource, signal?: AbortSignal): AsyncGenerator<FilePiece> {
    const { config, identity } = this.#loaded;
    const fit = this.#fitFor("saveCheckpoint");
    const { checkpointFiles } = await import("./full.ts");
    yield* checkpointFiles(fit, { config, ...identity }, source, signal);
  }

  #fitFor(who: string): Fit {
    this.#check();
    const { fit } = this.#loaded.weights;
    if (fit) return fit;
    throw new InputError(
      `${who}: got a model that was not calibrated or trained here, want one. Make it with convert(engine, shape, { calibrate }) or distil.`,
    );
  }

  /** The file of the student that a checkpoint holds. */
  async exportStudent(checkpoint: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    this.#check();
    const { config, identity } = this.#loaded;
    const { fitOf, readCheckpoint } = await import("./training.ts");
    const { studentBytes } = await students.load();
    const read = await readCheckpoint(checkpoint, identity, config);
    const { swiftkv } = read.progress;
    return studentBytes(fitOf(read, config), { config: { ...config, swiftkv }, ...identity });
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

  async constraint(spec: ConstraintSpec): Promise<Constraint> {
    this.#check();
    return (await this.#openGrammars()).compile(spec);
  }

  tokenize(text: string, options: { addSpecial?: boolean } = {}): number[] {
    return this.#speaker.tokenizer.encode(text, options);
  }

  detokenize(tokens: readonly number[]): string {
    return this.#speaker.tokenizer.decode(tokens);
  }

  render(messages: readonly Message[], options: Omit<ChatPrompt, "messages"> = {}): string {
    return render(this.#speaker, { messages, ...options });
  }

  score(tokens: readonly number[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.#speaker.engine.score(tokens, signal);
  }

  async evaluate(
    prompt: readonly number[],
    continuation: readonly number[],
    options: EvaluateOptions = {},
  ): Promise<Evaluation> {
    this.#check();
    const { engine, price } = this.#speaker;
    const evaluated = await evaluate(engine, prompt, continuation, options);
    return { ...evaluated, kvBytesPerToken: price(prompt.length).kvBytesPerToken };
  }

  profile(phase: "prefill" | "decode", tokens: number): Promise<KernelTime[]> {
    return this.#speaker.engine.overwriting(() => this.#loaded.transformer.profile(phase, tokens));
  }

  stats(): EngineStats {
    const { gpu, config, recipe, variants, loadMs, bounds } = this.#loaded;
    const { weights: weightBytes, kv: kvBytes, scratch: scratchBytes } = gpu.bytes;
    const { preemptions, peakBytes: kvPeakBytes } = this.#speaker.engine;
    const { kvBytesPerToken, streaming: kvStreaming } = recipe.price(kvModelOf(config), bounds.context);
    const recall = this.#loaded.transformer.recallStats;
    const kv = { kvBytes, kvBytesPerToken, kvPeakBytes, kvStreaming };
    const measured = { loadMs, weightBytes, ...kv, recall, scratchBytes, preemptions };
    return { adapter: gpu.adapter, ...measured, variants: variants.chosen, ...gpu.counts };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const session of this.#sessions) session.dispose();
    this.#loaded.gpu.dispose();
  }
}

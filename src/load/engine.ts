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
  ShareOptions,
  Sharing,
  SwiftKv,
} from "../api.ts";
import type { PictureReader } from "../chat/parts.ts";
import { ChatSession, type Last, render, type Speaker } from "../chat/session.ts";
import { TokenEngine } from "../engine/engine.ts";
import { OPENING } from "../engine/repeat.ts";
import { assert, DeviceLostError, InputError } from "../errors.ts";
import type { Grammars } from "../grammar/constraint.ts";
import type { Retention } from "../kv/plan.ts";
import { modelCost } from "../model/cost.ts";
import type { Model } from "../model/model.ts";
import type { OwnEngine } from "../thread/own.ts";
import type { Base } from "./convert.ts";
import type { Renewal, Survivor } from "./renewal.ts";
import { kvModelOf, type LoadedModel, tuneNow } from "./running.ts";
import type { Saved } from "./saving.ts";

function describe({ identity, config, weights, recipe, bounds, language }: LoadedModel): ModelInfo {
  const seesPictures = config.vision !== null;
  return {
    ...identity,
    architecture: config.architecture,
    layers: config.layers,
    vocabulary: config.vocabulary,
    context: bounds.context,
    trainedContext: config.context,
    hasChatTemplate: language.template !== null,
    seesPictures,
    templateVariables: language.template?.variables ?? [],
    swiftkv: config.swiftkv,
    kvShape: kvModelOf(config),
    kv: String(recipe),
    kvWarnings: recipe.warnings({ ...config, seesPictures }),
    convertible: weights.teacher !== null,
    undistilled: weights.undistilled,
    calibration: weights.fit?.made ?? null,
    distillation: weights.fit?.distilled ?? null,
    flops: modelCost(config),
  };
}

/** Milliseconds after a load within which the first reply is expected to begin, where somebody waits for it. */
const FIRST_REPLY_MS = 1000;

const openingOf = ({ transformer, language }: LoadedModel): number[] =>
  transformer.cache.repeats ? language.tokenizer.encode(OPENING, { addSpecial: false }) : [];

export class LoadedEngine implements OwnEngine, Survivor<LoadedModel> {
  readonly model: ModelInfo;
  readonly chat: Engine["chat"];
  /** Another one after each loss of the device. */
  #loaded: LoadedModel;
  /** Null where a lost device cannot be replaced. */
  readonly #renewal: Renewal<LoadedModel> | null;
  /** Resolves once the model is on another device. */
  #renewed: Promise<Model> | null = null;
  readonly #speaker: Speaker;
  readonly #sessions = new Set<ChatSession>();
  readonly sessions: Engine["sessions"] = {
    list: async () => (await this.#saving()).savedSessions.list(),
    delete: async (name) => (await this.#saving()).savedSessions.delete(name),
  };
  readonly prefixes: Engine["prefixes"] = {
    keep: async (prefix, options) => (await this.#saved()).prefixes.keep(prefix, options),
    list: async () => (await this.#saving()).keptPrefixes.list(),
    delete: async (id) => (await this.#saving()).keptPrefixes.delete(id),
  };
  #grammars: Promise<Grammars> | null = null;
  #pictures: Promise<PictureReader> | null = null;
  #completions: Promise<ChatCompletions> | null = null;
  /** Of `chat.completions`. */
  #replies: Session | null = null;
  #disposed = false;
  /** While kernels are measured: what is under way uses buffers until it has ended. */
  #measuring: Promise<void> | null = null;
  /** Aborted as it is disposed. */
  readonly #left = new AbortController();

  constructor(loaded: LoadedModel, renewal: Renewal<LoadedModel> | null = null) {
    this.#loaded = loaded;
    this.#renewal = renewal;
    const { recipe, config, language, transformer } = loaded;
    const price = (tokens: number, kept: Retention | null) => recipe.price(kvModelOf(config), tokens, kept);
    this.#speaker = {
      ...language,
      price,
      engine: new TokenEngine(transformer, openingOf(loaded)),
      grammars: () => this.#openGrammars(),
      pictures: config.vision && (() => this.#openPictures()),
      open: (last) => this.#session(last),
      save: async (name, last) => (await this.#saved()).save(name, last),
    };
    this.model = describe(loaded);
    const create = async (request: ChatCompletionRequest, options?: RequestOptions) =>
      (await this.#openCompletions()).create(request, options);
    this.chat = { completions: { create: create as ChatCompletions["create"] } };
    renewal?.add(this);
    if (loaded.settings.tune === "auto") void this.#finish(loaded).catch(() => {}); // what is there is enough to run
  }

  /** Compiles what is missing, and chooses kernels, while nothing runs: first the first reply, if it comes soon. */
  async #finish({ transformer }: LoadedModel): Promise<void> {
    const turn = (work: () => Promise<void>) => this.#speaker.engine.whenIdle(work);
    await new Promise((resolve) => setTimeout(resolve, FIRST_REPLY_MS));
    await turn(async () => {});
    if (this.#disposed) return;
    await transformer.compile();
    this.#measuring = tuneNow(transformer, turn, this.#left.signal).finally(() => (this.#measuring = null));
    await this.#measuring;
  }

  async remake(base: LoadedModel): Promise<LoadedModel> {
    if (!this.#loaded.gpu.isFork) return base;
    const { remake } = await import("./convert.ts"); // it is there: it made this one
    return remake(base, this.#loaded);
  }

  goOn(next: Promise<LoadedModel | undefined>): void {
    this.#renewed = next.then((loaded) => this.#take(loaded));
    this.#speaker.engine.renew(this.#renewed);
  }

  #take(loaded: LoadedModel | undefined): Model {
    if (this.#disposed) loaded?.gpu.dispose();
    this.#check();
    assert(loaded, "an engine in use has been made again");
    this.#loaded.gpu.dispose();
    this.#loaded = loaded;
    return loaded.transformer;
  }

  /** Work that the loss of the device ends is done again on the next one. */
  async #outlasting<T>(work: () => Promise<T>): Promise<T> {
    while (true) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof DeviceLostError) || !this.#renewed) throw error;
        await this.#renewed;
      }
    }
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

  #openPictures(): Promise<PictureReader> {
    const { config, language } = this.#loaded;
    return (this.#pictures ??= import("../chat/pictures.ts").then(
      ({ Pictures, sightOf }) =>
        new Pictures(language, sightOf(config.vision!, language.preprocessor ?? {}, config.vocabulary)),
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
    const { convert } = await import("./convert.ts");
    return this.#beside(() => convert(this.#base, swiftkv, options));
  }

  /** A student trained on texts: see `distil`. */
  async distil(swiftkv: SwiftKv, options: DistilOptions): Promise<LoadedEngine> {
    this.#check();
    const { train, withFit } = await import("./convert.ts");
    const fit = await train(this.#base, swiftkv, options);
    return this.#beside(() => withFit(this.#base, swiftkv, fit, options.signal ? { signal: options.signal } : {}));
  }

  async #beside(make: () => Promise<LoadedModel>): Promise<LoadedEngine> {
    return new LoadedEngine(await this.#outlasting(make), this.#renewal);
  }

  /** What others are made from. */
  get #base(): Base {
    return { ...this.#loaded, alone: (work) => this.#speaker.engine.overwriting(work) };
  }

  /** Layers that may share: see `shareLayers`. */
  async shareLayers(options: ShareOptions): Promise<Sharing> {
    this.#check();
    return (await import("./sharing.ts")).searchShares(this.#base, options);
  }

  /** The file of a student: see `saveStudent`. */
  async studentFile(): Promise<Uint8Array<ArrayBuffer>> {
    this.#check();
    return (await import("./convert.ts")).studentFile(this.#loaded);
  }

  /** A student and its base: see `saveCheckpoint`. */
  async *checkpointFiles(source: ModelSource, signal?: AbortSignal): AsyncGenerator<FilePiece> {
    this.#check();
    yield* (await import("./convert.ts")).wholeFiles(this.#loaded, source, signal);
  }

  /** The file of the student that a checkpoint holds. */
  async exportStudent(checkpoint: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    this.#check();
    return (await import("./convert.ts")).exportStudent(this.#loaded, checkpoint);
  }

  #check(): void {
    if (this.#disposed)
      throw new InputError("engine: it was disposed; got a call, want none. Load the model again.", {
        code: "disposed",
      });
  }

  session(): Session {
    return this.#session();
  }

  #session(last: Last = null): ChatSession {
    this.#check();
    const session = new ChatSession(this.#speaker, last);
    this.#sessions.add(session);
    return session;
  }

  async open(name: string): Promise<Session> {
    return (await this.#saved()).open(name);
  }

  async #saved(): Promise<Saved> {
    return (await this.#saving()).savedFor(this.#speaker, this.#loaded);
  }

  #saving(): Promise<typeof import("./saving.ts")> {
    this.#check();
    return import("./saving.ts");
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
    const { evaluate } = await import("../engine/evaluate.ts");
    const evaluated = await evaluate(engine, prompt, continuation, options);
    return { ...evaluated, kvBytesPerToken: price(prompt.length, null).kvBytesPerToken };
  }

  profile(phase: "prefill" | "decode", tokens: number): Promise<KernelTime[]> {
    const { engine } = this.#speaker;
    return this.#outlasting(() => engine.overwriting(() => this.#loaded.transformer.profile(phase, tokens)));
  }

  stats(): EngineStats {
    const { gpu, config, recipe, variants, loadMs, bounds } = this.#loaded;
    const { weights: weightBytes, kv: kvBytes, scratch: scratchBytes } = gpu.bytes;
    const { preemptions, peakBytes: kvPeakBytes } = this.#speaker.engine;
    const { kvBytesPerToken, streaming: kvStreaming } = recipe.price(kvModelOf(config), bounds.context);
    const recall = this.#loaded.transformer.recallStats;
    const kv = { kvBytes, kvBytesPerToken, kvPeakBytes, kvStreaming };
    const deviceLosses = this.#renewal?.losses ?? 0;
    const measured = { loadMs, weightBytes, ...kv, recall, scratchBytes, preemptions, deviceLosses };
    return { adapter: gpu.adapter, ...measured, variants: variants.chosen, ...gpu.counts };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#left.abort();
    this.#renewal?.remove(this);
    for (const session of this.#sessions) session.dispose();
    const { gpu } = this.#loaded;
    if (!this.#measuring) gpu.dispose();
    else void this.#measuring.catch(() => {}).then(() => gpu.dispose());
  }
}

// An engine in a worker, as the page sees it.
import type {
  ChatCompletionRequest,
  ChatCompletions,
  ChatPrompt,
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
  Message,
  ModelInfo,
  ModelSource,
  RequestOptions,
  Session,
  ShareOptions,
  Sharing,
  SwiftKv,
} from "../api.ts";
import { render } from "../chat/session.ts";
import { InputError } from "../errors.ts";
import type { Language } from "./language.ts";
import type { OwnEngine } from "./own.ts";
import type { Service } from "./protocol.ts";
import { signalled, ThreadSession } from "./reply.ts";
import { openStream } from "./stream.ts";
import type { Target } from "./target.ts";

/** What an engine is called by. */
interface Called {
  engine: Target<Engine>;
  /** Of the worker that it lives in, with how many engines live there. */
  home: { service: Target<Service>; engines: number };
  /** On this thread, since it is asked for without waiting. */
  language: Language;
}

const disposed = (): InputError =>
  new InputError("engine: it was disposed; got a call, want none. Load the model again.", { code: "disposed" });

export class ThreadEngine implements OwnEngine {
  readonly model: ModelInfo;
  readonly chat: Engine["chat"];
  readonly sessions: Engine["sessions"] = {
    list: async () => this.#engine.part("sessions").call("list"),
    delete: async (name) => this.#engine.part("sessions").call("delete", name),
  };
  readonly prefixes: Engine["prefixes"] = {
    keep: async (prompt, options = {}) => this.#engine.part("prefixes").call("keep", prompt, options),
    list: async () => this.#engine.part("prefixes").call("list"),
    delete: async (id) => this.#engine.part("prefixes").call("delete", id),
  };
  readonly #called: Called;
  #stats: EngineStats;
  #disposed = false;

  private constructor(called: Called, model: ModelInfo, stats: EngineStats) {
    this.model = model;
    this.#called = called;
    this.#stats = stats;
    called.home.engines++;
    called.engine.link.hold(this, called.engine.object);
    this.chat = { completions: { create: this.#create.bind(this) as ChatCompletions["create"] } };
  }

  /** For an engine that the worker has made. */
  static async of(called: Called): Promise<ThreadEngine> {
    const [model, stats] = await Promise.all([called.engine.get("model"), called.engine.call("stats")]);
    return new ThreadEngine(called, model, stats);
  }

  get #engine(): Target<Engine> {
    if (this.#disposed) throw disposed();
    return this.#called.engine;
  }

  get #service(): Target<Service> {
    if (this.#disposed) throw disposed();
    return this.#called.home.service;
  }

  async #create(request: ChatCompletionRequest, options: RequestOptions = {}) {
    const completions = this.#engine.part("chat").part("completions");
    if (request.stream !== true) return completions.call("create", request, options);
    const { begun, items } = openStream(completions, "create", [request, signalled(options)]);
    await begun;
    return items;
  }

  session(): Session {
    this.#engine.link.check();
    const { target, made } = this.#engine.make("session");
    made.catch(() => {}); // its replies fail alike
    return new ThreadSession(target);
  }

  async open(name: string): Promise<Session> {
    const { target, made } = this.#engine.make("open", name);
    await made;
    return new ThreadSession(target);
  }

  async constraint(spec: ConstraintSpec): Promise<Constraint> {
    const { target, made } = this.#engine.make("constraint", spec);
    await made;
    const constraint = { spec };
    target.link.hold(constraint, target.object);
    return constraint;
  }

  tokenize(text: string, options: { addSpecial?: boolean } = {}): number[] {
    return this.#called.language.tokenizer.encode(text, options);
  }

  detokenize(tokens: readonly number[]): string {
    return this.#called.language.tokenizer.decode(tokens);
  }

  render(messages: readonly Message[], options: Omit<ChatPrompt, "messages"> = {}): string {
    return render(this.#called.language, { messages, ...options });
  }

  async score(tokens: readonly number[], options: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.#engine.call("score", tokens, options);
  }

  async evaluate(
    prompt: readonly number[],
    continuation: readonly number[],
    options: EvaluateOptions = {},
  ): Promise<Evaluation> {
    return this.#engine.call("evaluate", prompt, continuation, options);
  }

  async profile(phase: "prefill" | "decode", tokens: number): Promise<KernelTime[]> {
    return this.#engine.call("profile", phase, tokens);
  }

  stats(): EngineStats {
    const { link, object } = this.#called.engine;
    return (this.#stats = link.stats(object) ?? this.#stats);
  }

  /** The worker ends with its last engine. */
  dispose(): void {
    if (this.#disposed) return;
    const { engine, home } = this.#called;
    this.stats(); // the last that were told
    engine.call("dispose").catch(() => {}); // where the worker is gone, so is its memory
    engine.link.release(engine.object);
    this.#disposed = true;
    home.engines--;
    if (home.engines === 0) engine.link.close(disposed());
  }

  async convert(swiftkv: SwiftKv | boolean, options: ConvertOptions): Promise<Engine> {
    return this.#twin(this.#service.make("convert", this, swiftkv, options));
  }

  async distil(swiftkv: SwiftKv, options: DistilOptions): Promise<Engine> {
    return this.#twin(this.#service.make("distil", this, swiftkv, options));
  }

  /** Another engine of the same worker. */
  async #twin({ target, made }: { target: Target<Engine>; made: Promise<void> }): Promise<Engine> {
    await made;
    return ThreadEngine.of({ ...this.#called, engine: target });
  }

  async shareLayers(options: ShareOptions): Promise<Sharing> {
    return this.#service.call("shareLayers", this, options);
  }

  async studentFile(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#service.call("saveStudent", this);
  }

  async *checkpointFiles(source: ModelSource, signal?: AbortSignal): AsyncGenerator<FilePiece> {
    const options = signalled(signal ? { signal } : {});
    yield* openStream(this.#service, "saveCheckpoint", [this, source, options], 1).items;
  }

  async exportStudent(checkpoint: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    return this.#service.call("exportStudent", this, checkpoint);
  }
}

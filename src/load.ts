// load() and convert(): with load/, the only place that composes the rooms.
import type {
  ConvertOptions,
  DistilOptions,
  Engine,
  FilePiece,
  LoadOptions,
  MemoryPlan,
  ModelSource,
  SwiftKv,
} from "./api.ts";
import type { Language } from "./chat/session.ts";
import { InputError, ModelError } from "./errors.ts";
import { Gpu } from "./gpu/device.ts";
import type { Checkpoint } from "./io/checkpoint.ts";
import { Damaged } from "./io/files/bytes.ts";
import { layoutOf } from "./kv/systems/swiftkv/layout.ts";
import { LoadedEngine } from "./load/engine.ts";
import { openReporting, readShape, type Shape } from "./load/open.ts";
import { readLanguage, samplingDefaults } from "./load/read.ts";
import {
  assemble,
  assembleStudent,
  choose,
  compile,
  type LoadedModel,
  type Making,
  makeReady,
  type Report,
  type RunningModel,
  students,
} from "./load/running.ts";
import { checkOptions, type Settings } from "./load/settings.ts";
import { nameWeights } from "./model/names.ts";
import { WeightLoader } from "./model/weights/loader.ts";

/**
 * Loads a model and compiles its kernels. Throws UnsupportedError (browser, adapter or architecture), ModelError (bad
 * files), InputError (bad options) or the signal's reason; whatever was allocated is freed again. A device that is lost is
 * replaced, then and later: docs/api.md, "A lost device".
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Engine> {
  const loading = new Loading(source, options, await checkOptions(options));
  const { device, onEvent, signal = new AbortController().signal } = options;
  if (typeof device === "object") return new LoadedEngine(await loading.make(signal));
  const { Renewal } = await import("./load/renewal.ts"); // a lost device is no time to fetch anything
  const renewal = new Renewal<LoadedModel>({ load: (...how) => loading.make(...how), onEvent });
  return new LoadedEngine(await renewal.begin(signal), renewal);
}

/** What does not change with the device. */
interface Opened extends Shape {
  settings: Settings;
  language: Language;
}

/** A load, which may have to be done again: on another device, or where a file was damaged. */
class Loading {
  readonly #source: ModelSource;
  readonly #options: LoadOptions;
  readonly #given: Settings;
  readonly #started = performance.now();
  /** Known once it has been read. */
  #opened: Opened | null = null;

  constructor(source: ModelSource, options: LoadOptions, given: Settings) {
    this.#source = source;
    this.#options = options;
    this.#given = given;
  }

  /** `before`: what it was on a device that is gone. */
  async make(signal: AbortSignal, before: LoadedModel | null = null): Promise<LoadedModel> {
    try {
      return await this.#makeOnce(signal, before);
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      this.#opened = null;
      return await this.#makeOnce(signal, before); // what was damaged is no longer there
    }
  }

  #report: Report = (progress) =>
    this.#options.onProgress?.({ loadedBytes: 0, totalBytes: 0, share: null, item: "", ...progress });

  async #makeOnce(signal: AbortSignal, before: LoadedModel | null): Promise<LoadedModel> {
    const report: Report = before ? () => {} : this.#report;
    report({ phase: this.#opened ? "device" : "open" });
    const options = { ...this.#options, signal };
    const gpu = await Gpu.open(options.device);
    if (before) Object.assign(gpu.counts, before.gpu.counts);
    let checkpoint: Checkpoint | null = null;
    try {
      checkpoint = await openReporting(this.#source, options, gpu.device.limits.maxBufferSize, report);
      const opened = (this.#opened ??= await open(checkpoint, gpu.device, { given: this.#given, options, report }));
      const how = { ...opened, options, report, signal, variants: before?.variants.chosen };
      const model = await gpu.guardMemory(() => loadModel(gpu, checkpoint!, how));
      const identity = identify(checkpoint, model, before);
      gpu.onKernel = () => {};
      report({ phase: "ready" });
      const { language, settings } = opened;
      const loadMs = before?.loadMs ?? performance.now() - this.#started;
      return { gpu, ...model, identity, language, settings, loadMs };
    } catch (error) {
      gpu.dispose();
      throw error;
    } finally {
      checkpoint?.close();
    }
  }
}
/**
 * What `load` will allocate with these options, from the headers of the model's files. Chooses as it does, and throws as it
 * does where the model cannot be had.
 */
export async function plan(source: ModelSource, options: LoadOptions = {}): Promise<MemoryPlan> {
  const planning = await import("./load/plan.ts");
  return planning.plan(source, options);
}

async function open(
  checkpoint: Checkpoint,
  device: GPUDevice,
  { given, options, report }: { given: Settings; options: LoadOptions; report: Report },
): Promise<Opened> {
  const shape = await readShape(checkpoint, options);
  const settings = await settle(given, device, checkpoint, { shape, options });
  report({ phase: "tokenizer" });
  return { ...shape, settings, language: await readLanguage(checkpoint) };
}

/** Throws ModelError where the files are no longer those of `before`. */
function identify(
  { name, generationConfig }: Checkpoint,
  { parameters, hash }: Identified,
  before: LoadedModel | null,
): LoadedModel["identity"] {
  if (before && before.identity.hash !== hash)
    throw new ModelError(
      `${name}: the files have changed since they were loaded; got other weights, want the same. Load the model again.`,
    );
  return { name, parameters, hash, sampling: samplingDefaults(generationConfig) };
}

/** What is open of recipe and context, where there is a budget. Without one, what is too large fails as it is allocated. */
async function settle(
  settings: Settings,
  device: GPUDevice,
  tensors: Checkpoint,
  { shape, options }: { shape: Shape; options: LoadOptions },
): Promise<Settings> {
  if (options.memory === undefined) return settings;
  const { decide } = await import("./load/plan.ts");
  return (await decide({ ...shape, device, tensors, settings, options })).settings;
}

/**
 * A second engine on the device and the weights of `engine`: a SwiftKV student of it, or with `false` the ordinary model.
 * With `calibrate` the student is fitted to texts; with `student` it is read from its file, and `true` takes its shape;
 * else it is the trained one where the checkpoint was trained for that shape, or the model's own weights, which answers
 * badly. It has a cache of its own; weights that both use stay until both are disposed. Throws InputError for a shape the
 * model cannot have, for texts that cannot be used, or where the ordinary projections are not on the GPU; ModelError for a
 * student that is damaged or of another model; the signal's reason on abort, which leaves nothing behind.
 */
export function convert(engine: Engine, swiftkv: SwiftKv | boolean, options: ConvertOptions = {}): Promise<Engine> {
  return own("convert", engine).convert(swiftkv, options);
}

/**
 * Trains a student of this shape to answer as the ordinary model does, on texts, and returns it as a second engine, as
 * `convert` does. Throws InputError for texts and options that cannot be used, or where the ordinary projections are not on
 * the GPU. On abort it finishes the step under way, hands its state to `onCheckpoint` and throws the signal's reason; with
 * that state as `resume` the training goes on as if it had not stopped. The engine answers requests between steps.
 */
export function distil(engine: Engine, swiftkv: SwiftKv, options: DistilOptions): Promise<Engine> {
  return own("distil", engine).distil(swiftkv, options);
}

/**
 * The file of a student that `convert` calibrated or `distil` trained, for `load(base, { student })`: a safetensors file
 * with the new tensors only, bound to the base model by hash. Throws InputError for any other engine.
 */
export const saveStudent = (engine: Engine): Uint8Array<ArrayBuffer> => own("saveStudent", engine).studentFile();

/**
 * The student together with its base: the files of a checkpoint in the public SwiftKV layout, which other engines load too.
 * `source`: the base, with safetensors. Throws InputError for an engine that is no such student, where the layout has no
 * place for the student's biases, or for a family without a public layout; ModelError where `source` is another model. What
 * has come until then is no checkpoint: config.json comes last.
 */
export const saveCheckpoint = (
  engine: Engine,
  source: ModelSource,
  { signal }: { signal?: AbortSignal } = {},
): AsyncGenerator<FilePiece> => own("saveCheckpoint", engine).checkpointFiles(source, signal);

/** `saveStudent` for the student that a checkpoint of `distil` holds. `engine`: of the model that it is trained for. */
export const exportStudent = (engine: Engine, checkpoint: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> =>
  own("exportStudent", engine).exportStudent(checkpoint);

function own(who: string, engine: Engine): LoadedEngine {
  if (engine instanceof LoadedEngine) return engine;
  throw new InputError(`${who}: engine; got something else, want what load() returned. Pass that.`);
}

type Identified = Pick<LoadedModel["identity"], "parameters" | "hash">;

/** The model on the GPU, ready to run, the number of its weights and their hash. */
async function loadModel(
  gpu: Gpu,
  checkpoint: Checkpoint,
  {
    config,
    student,
    stored,
    settings,
    options: { teacher = false },
    ...making
  }: Opened & Making & { options: LoadOptions },
): Promise<RunningModel & Identified> {
  const { signal, report } = making;
  const loader = new WeightLoader(gpu, checkpoint, settings.weights);
  const weights = nameWeights(loader, config, layoutOf(config.layers, config.swiftkv), { teacher });
  // Before the download, so that a cache too large for this adapter is known at once.
  const early = student ? null : await assemble(gpu, config, weights, settings, loader);
  await loadCompiling(
    loader,
    signal,
    () => showCompiling(gpu, report),
    early && (() => compile(early, settings, making)),
  );
  await checkpoint.settle(signal);
  const hash = await loader.hash();
  if (stored) students.now.checkBase(stored, checkpoint.name, hash);
  const converted = { ...config, swiftkv: student };
  const model = early ?? (await assembleStudent(gpu, converted, weights, settings, stored?.fit ?? null));
  if (early) await choose(model, making);
  else await makeReady(model, settings, making);
  return { ...model, parameters: loader.parameters, hash };
}

/**
 * Loads, and compiles meanwhile. Pipelines are compiled in the order in which they are asked for: those that pack weights
 * come first, or the weights would wait for all others.
 */
async function loadCompiling(
  loader: WeightLoader,
  signal: AbortSignal | undefined,
  onLoaded: () => void,
  compileEarly: (() => Promise<void>) | null,
): Promise<void> {
  let begin = (): void => {};
  const steady = new Promise<void>((resolve) => (begin = resolve));
  const arrival = loader.load(signal, begin).then(onLoaded);
  await Promise.all([arrival, steady.then(compileEarly)]);
}

/** From now on reports how many of the kernels that are still missing have been compiled. */
function showCompiling(gpu: Gpu, report: Report): void {
  const { compiled } = gpu.kernels;
  gpu.onKernel = () =>
    report({ phase: "compile", share: (gpu.kernels.compiled - compiled) / (gpu.kernels.asked - compiled) });
  report({ phase: "compile" });
}

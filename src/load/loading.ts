// Files on their way to a device: what a load does, and does again where the device is lost or a file was damaged.
import type { ModelSource } from "../api.ts";
import type { LoadHooks } from "../thread/own.ts";
import type { Language } from "../chat/session.ts";
import { ModelError } from "../errors.ts";
import { Gpu } from "../gpu/device.ts";
import type { Checkpoint } from "../io/checkpoint.ts";
import { Damaged } from "../io/files/bytes.ts";
import { layoutOf } from "../kv/systems/swiftkv/layout.ts";
import { nameAll } from "../model/names.ts";
import { WeightLoader } from "../model/weights/loader.ts";
import { openReporting, readShape, type Shape } from "./open.ts";
import { readLanguage, samplingDefaults } from "./read.ts";
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
} from "./running.ts";
import { checkFiles, type Settings } from "./settings.ts";

/** What does not change with the device. */
interface Opened extends Shape {
  settings: Settings;
  language: Language;
}

/** A load, which may have to be done again: on another device, or where a file was damaged. */
export class Loading {
  readonly #source: ModelSource;
  readonly #options: LoadHooks;
  readonly #given: Settings;
  readonly #started = performance.now();
  /** Known once it has been read. */
  #opened: Opened | null = null;

  constructor(source: ModelSource, options: LoadHooks, given: Settings) {
    this.#source = source;
    this.#options = options;
    this.#given = given;
  }

  /** `before`: what it was on a device that is gone. */
  async make(signal: AbortSignal, before: LoadedModel | null = null): Promise<LoadedModel> {
    try {
      return await this.#onDevice(signal, before);
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      this.#opened = null;
      return await this.#onDevice(signal, before); // what was damaged is no longer there
    }
  }

  async #onDevice(signal: AbortSignal, before: LoadedModel | null): Promise<LoadedModel> {
    const report: Report = (progress) => {
      if (!before) this.#options.onProgress?.({ loadedBytes: 0, totalBytes: 0, share: null, item: "", ...progress });
    };
    report({ phase: this.#opened ? "device" : "open" });
    const gpu = await Gpu.open(this.#options.device);
    if (before) Object.assign(gpu.counts, before.gpu.counts); // they go on
    try {
      const making = { report, signal, variants: before?.variants.chosen };
      const model = await this.#on(gpu, making, before);
      report({ phase: "ready" });
      return { ...model, loadMs: before?.loadMs ?? performance.now() - this.#started };
    } catch (error) {
      gpu.dispose();
      throw error;
    }
  }

  async #on(
    gpu: Gpu,
    making: Making & { signal: AbortSignal },
    before: LoadedModel | null,
  ): Promise<Omit<LoadedModel, "loadMs">> {
    const { report, signal } = making;
    const options = { ...this.#options, signal };
    const checkpoint = await openReporting(this.#source, options, gpu.device.limits.maxBufferSize, report);
    try {
      const opened = (this.#opened ??= await open(checkpoint, gpu.device, { given: this.#given, options, report }));
      const how = { ...opened, ...making, teacher: options.teacher ?? false };
      const model = await gpu.guardMemory(() => loadModel(gpu, checkpoint, how));
      gpu.onKernel = () => {};
      const { settings, language } = opened;
      return { gpu, ...model, identity: identify(checkpoint, model, before), language, settings };
    } finally {
      checkpoint.close();
    }
  }
}

async function open(
  checkpoint: Checkpoint,
  device: GPUDevice,
  { given, options, report }: { given: Settings; options: LoadHooks; report: Report },
): Promise<Opened> {
  const shape = await readShape(checkpoint, options);
  const settings = await settle(given, device, checkpoint, { shape, options });
  report({ phase: "tokenizer" });
  return { ...shape, settings, language: await readLanguage(checkpoint, options.onTokenizer) };
}

/** Throws ModelError where the files are no longer those of `before`. */
function identify(
  { name, generationConfig }: Checkpoint,
  { parameters, hash }: Identified,
  before: LoadedModel | null,
): LoadedModel["identity"] {
  if (before && before.identity.hash !== hash)
    throw new ModelError(`${name}: the files have changed; got other weights, want the same. Load the model again.`);
  return { name, parameters, hash, sampling: samplingDefaults(generationConfig) };
}

/** What is open of recipe and context, where there is a budget. Without one, what is too large fails as it is allocated. */
async function settle(
  settings: Settings,
  device: GPUDevice,
  tensors: Checkpoint,
  { shape, options }: { shape: Shape; options: LoadHooks },
): Promise<Settings> {
  if (options.memory === undefined) return settings;
  const { decide } = await import("./plan.ts");
  return (await decide({ ...shape, device, tensors, settings, options })).settings;
}

type Identified = Pick<LoadedModel["identity"], "parameters" | "hash">;

/** The model on the GPU, ready to run, the number of its weights and their hash. */
async function loadModel(
  gpu: Gpu,
  checkpoint: Checkpoint,
  { config, student, stored, settings, teacher, ...making }: Opened & Making & { teacher: boolean },
): Promise<RunningModel & Identified> {
  const { signal, report } = making;
  const loader = new WeightLoader(gpu, checkpoint, settings.weights);
  const weights = await nameAll(loader, config, layoutOf(config.layers, config.swiftkv), { teacher });
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
  await checkFiles(settings, checkpoint.name, hash);
  const converted = { ...config, swiftkv: student };
  const model = early ?? (await assembleStudent(gpu, converted, weights, settings, stored?.fit ?? null));
  if (early) await choose(model, settings, making);
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

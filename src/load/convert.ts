// A second model on the device and the weights of a first one: a SwiftKV student of it, or the ordinary model.
import type { ConvertOptions, DistilOptions, FilePiece, ModelSource, SwiftKv } from "../api.ts";
import { InputError } from "../errors.ts";
import { sameShape } from "../kv/systems/swiftkv/layout.ts";
import type { Fit } from "../model/context.ts";
import { teacherOf } from "../model/swiftkv/teacher.ts";
import type { Teacher } from "./calibrate.ts";
import { assemble, assembleStudent, type LoadedModel, type Making, makeReady, students } from "./running.ts";
import { checkFiles, checkOptions, checkShape } from "./settings.ts";

/** The model of an engine, and how work has it for itself. */
export type Base = LoadedModel & Pick<Teacher, "alone">;

/** See `convert` in load.ts. */
export async function convert(base: Base, swiftkv: SwiftKv | boolean, options: ConvertOptions): Promise<LoadedModel> {
  if (options.student !== undefined) return withStored(base, options.student, swiftkv, options);
  if (swiftkv === true)
    throw new InputError(
      "convert: got swiftkv true without a student, want a shape. Give { layers, group }, or a student that brings its own.",
    );
  const shape = swiftkv === false ? null : checkShape(swiftkv, base.config);
  const fit = options.calibrate === undefined ? null : await fitted(base, shape, options);
  return withFit(base, shape, fit, options);
}

async function withStored(
  base: Base,
  source: NonNullable<ConvertOptions["student"]>,
  swiftkv: SwiftKv | boolean,
  options: ConvertOptions,
): Promise<LoadedModel> {
  if (options.calibrate !== undefined)
    throw new InputError("convert: got calibrate and student, want one of them. Leave one out.");
  const { config, identity } = base;
  const { readStudent, checkBase } = await students.load();
  const { signal, keep, token, sha256 } = options;
  const stored = await readStudent(source, config, swiftkv, { signal, keep, token, sha256 });
  checkBase(stored, identity.name, identity.hash);
  return withFit(base, stored.card.swiftkv, stored.fit, options);
}

/** Fits a student to the texts. A SwiftKV model reads them as the ordinary model that it can be switched to. */
async function fitted(base: Base, shape: SwiftKv | null, options: ConvertOptions): Promise<Fit> {
  if (!shape)
    throw new InputError(
      "calibrate: got a shape in which every layer is ordinary, want one with fewer. Give { layers, group } with layers below the model's.",
    );
  const { calibrate } = await import("./calibrate.ts");
  return asOrdinary(base, options.signal, (teacher) => calibrate(teacher, shape, options));
}

/** A fit by training: see `distil` in load.ts. */
export async function train(base: Base, swiftkv: SwiftKv, options: DistilOptions): Promise<Fit> {
  const { weights, config, identity } = base;
  const shape = checkShape(swiftkv, config);
  if (!shape)
    throw new InputError(
      "distil: got a shape in which every layer is ordinary, want one with fewer. Give { layers, group } with layers below the model's.",
    );
  const { distil } = await import("./distil.ts");
  const own = sameShape(config.swiftkv, shape) ? weights.fit : null;
  return asOrdinary(base, options.signal, (teacher) =>
    distil({ ...teacher, identity, weights: teacherOf(weights), fit: own }, shape, options),
  );
}

/** Whether all layers have keys and values of their own, under its recipe too. */
const isOrdinary = ({ config, transformer }: LoadedModel): boolean =>
  !config.swiftkv && transformer.context.cache.shape.layout.stores === config.layers;

/** Work with the ordinary model: this one, or what it can be switched to. */
async function asOrdinary<T>(
  base: Base,
  signal: AbortSignal | undefined,
  work: (teacher: Teacher) => Promise<T>,
): Promise<T> {
  if (isOrdinary(base)) return work(base);
  const ordinary = await withFit(base, null, null, { kv: "f16", sequences: 1, ...(signal ? { signal } : {}) });
  try {
    return await work({ ...ordinary, alone: (alone) => alone() });
  } finally {
    ordinary.gpu.dispose();
  }
}

/** A student by `fit`, or without one as `makeStudent` says; with `swiftkv` null the ordinary model. */
export async function withFit(
  base: LoadedModel,
  swiftkv: SwiftKv | null,
  fit: Fit | null,
  options: ConvertOptions,
): Promise<LoadedModel> {
  const started = performance.now();
  const { context, reserve, ...others } = base.settings;
  const given = { ...(context === null ? {} : { context }), ...(reserve === null ? {} : { reserve }) };
  const settings = await checkOptions({ ...others, ...given, ...options });
  await checkFiles(settings, base.identity.name, base.identity.hash);
  const model = { ...base, config: { ...base.config, swiftkv }, settings };
  const made = await makeBeside(base, model, fit, { report: () => {}, signal: options.signal });
  return { ...made, loadMs: performance.now() - started };
}

/** What `model` was, on the device and the weights of `base`. */
export const remake = (base: LoadedModel, model: LoadedModel): Promise<LoadedModel> =>
  makeBeside(base, model, model.weights.fit, {
    report: () => {},
    signal: undefined,
    variants: model.variants.chosen,
  });

/** The file of a student: see `saveStudent` in load.ts. */
export async function studentFile({ weights, config, identity }: LoadedModel): Promise<Uint8Array<ArrayBuffer>> {
  const fit = fitOf("saveStudent", weights);
  return (await students.load()).studentBytes(fit, { config, ...identity });
}

/** A student and its base: see `saveCheckpoint` in load.ts. */
export async function* wholeFiles(
  { weights, config, identity }: LoadedModel,
  source: ModelSource,
  signal?: AbortSignal,
): AsyncGenerator<FilePiece> {
  const fit = fitOf("saveCheckpoint", weights);
  const { checkpointFiles } = await import("./full.ts");
  yield* checkpointFiles(fit, { config, ...identity }, source, signal);
}

function fitOf(who: string, { fit }: LoadedModel["weights"]): Fit {
  if (fit) return fit;
  throw new InputError(
    `${who}: got a model that was not calibrated or trained here, want one. Make it with convert(engine, shape, { calibrate }) or distil.`,
  );
}

/** The file of the student that a checkpoint of `distil` holds. */
export async function exportStudent(
  { config, identity }: LoadedModel,
  checkpoint: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const training = await import("./training.ts");
  const { studentBytes } = await students.load();
  const read = await training.readCheckpoint(checkpoint, identity, config);
  const { swiftkv } = read.progress;
  return studentBytes(training.fitOf(read, config), { config: { ...config, swiftkv }, ...identity });
}

/** What `model` describes, on the device and the weights of `base`. */
async function makeBeside(
  base: LoadedModel,
  model: LoadedModel,
  fit: Fit | null,
  making: Making,
): Promise<LoadedModel> {
  const { config, settings } = model;
  const gpu = base.gpu.fork();
  try {
    const running = await gpu.guardMemory(async () => {
      const made = config.swiftkv
        ? await assembleStudent(gpu, config, base.weights, settings, fit)
        : await assemble(gpu, config, teacherOf(base.weights), settings);
      await makeReady(made, settings, making);
      return made;
    });
    return { ...model, ...running, gpu };
  } catch (error) {
    gpu.dispose();
    throw error;
  }
}

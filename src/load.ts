// load() and convert(): with load/, the only place that composes the rooms.
import type {
  ConvertOptions,
  DistilOptions,
  Engine,
  FilePiece,
  LoadOptions,
  MemoryPlan,
  ModelSource,
  ShareOptions,
  Sharing,
  SwiftKv,
} from "./api.ts";
import { InputError } from "./errors.ts";
import { LoadedEngine } from "./load/engine.ts";
import { Loading } from "./load/loading.ts";
import type { LoadedModel } from "./load/running.ts";
import { checkOptions } from "./load/settings.ts";
import type { LoadHooks, OwnEngine } from "./thread/own.ts";

/** The model on this thread: see `load` of src/start.ts. */
export async function load(source: ModelSource, options: LoadHooks = {}): Promise<Engine> {
  const loading = new Loading(source, options, await checkOptions(options));
  const { device, onEvent, signal = new AbortController().signal } = options;
  if (typeof device === "object") return new LoadedEngine(await loading.make(signal));
  const { Renewal } = await import("./load/renewal.ts"); // a lost device is no time to fetch anything
  const renewal = new Renewal<LoadedModel>({ load: (...how) => loading.make(...how), onEvent });
  return new LoadedEngine(await renewal.begin(signal), renewal);
}

/**
 * What `load` will allocate with these options, from the headers of the model's files. Chooses as it does, and throws as it
 * does where the model cannot be had.
 */
export async function plan(source: ModelSource, options: LoadOptions = {}): Promise<MemoryPlan> {
  const planning = await import("./load/plan.ts");
  return planning.plan(source, options);
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
 * Which layers of the model may read another one's keys and values (KVSharer), and so have none of their own: tried out on
 * texts, beside `engine`, on its weights. Throws InputError for a SwiftKV model or texts that cannot be used; the signal's
 * reason on abort, which leaves nothing behind.
 */
export const shareLayers = async (engine: Engine, options: ShareOptions): Promise<Sharing> =>
  own("shareLayers", engine).shareLayers(options);

/**
 * The file of a student that `convert` calibrated or `distil` trained, for `load(base, { student })`: a safetensors file
 * with the new tensors only, bound to the base model by hash. Throws InputError for any other engine.
 */
export const saveStudent = async (engine: Engine): Promise<Uint8Array<ArrayBuffer>> =>
  own("saveStudent", engine).studentFile();

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

function own(who: string, engine: Engine & Partial<OwnEngine>): OwnEngine {
  if (engine?.studentFile) return engine as OwnEngine;
  throw new InputError(`${who}: engine; got something else, want what load() returned. Pass that.`);
}

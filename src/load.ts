// load() and convert(): with load/, the only place that composes the rooms.
import type { ConvertOptions, Engine, LoadOptions, ModelSource, SwiftKv } from "./api.ts";
import { InputError } from "./errors.ts";
import { Gpu } from "./gpu/device.ts";
import { type Checkpoint, openCheckpoint } from "./io/checkpoint.ts";
import { layoutOf } from "./kv/systems/swiftkv/layout.ts";
import { LoadedEngine } from "./load/engine.ts";
import { readConfig, readLanguage, samplingDefaults } from "./load/read.ts";
import { assemble, assembleStudent, makeReady, type Report, type RunningModel } from "./load/running.ts";
import { checkOptions, type Settings } from "./load/settings.ts";
import type { ModelConfig } from "./model/config.ts";
import { nameWeights } from "./model/families/llama.ts";
import { WeightLoader } from "./model/weights/loader.ts";

/**
 * Loads a model and compiles its kernels. Throws UnsupportedError (browser, adapter or architecture), ModelError (bad
 * files), InputError (bad options) or the signal's reason; whatever was allocated is freed again.
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Engine> {
  const started = performance.now();
  const settings = checkOptions(options);
  const { signal } = options;
  const report: Report = (progress) => options.onProgress?.({ loadedBytes: 0, totalBytes: 0, item: "", ...progress });
  report({ phase: "open" });
  const gpu = await Gpu.open(options.device);
  let checkpoint: Checkpoint | null = null;
  try {
    checkpoint = await openCheckpoint(source, {
      signal,
      onBytes: (loadedBytes, totalBytes, item) =>
        report({ phase: totalBytes > 0 ? "download" : "open", loadedBytes, totalBytes, item }),
    });
    const shape = await readConfig(checkpoint, options.swiftkv);
    report({ phase: "tokenizer" });
    const language = readLanguage(checkpoint);
    const model = await gpu.guardMemory(() => loadModel(gpu, checkpoint!, { ...shape, settings, options, report }));
    report({ phase: "ready" });
    const identity = {
      name: checkpoint.name,
      parameters: model.parameters,
      sampling: samplingDefaults(checkpoint.generationConfig),
    };
    return new LoadedEngine({ gpu, ...model, identity, language, settings, loadMs: performance.now() - started });
  } catch (error) {
    gpu.dispose();
    throw error;
  } finally {
    checkpoint?.close();
  }
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
  return engine.convert(swiftkv, options);
}

interface Loading {
  config: ModelConfig;
  /** What the model is converted to once it is loaded. */
  student: SwiftKv | null;
  settings: Settings;
  options: LoadOptions;
  report: Report;
}

/** The model on the GPU, ready to run, and the number of its weights. */
async function loadModel(
  gpu: Gpu,
  checkpoint: Checkpoint,
  { config, student, settings, options: { signal, teacher = false }, report }: Loading,
): Promise<RunningModel & { parameters: number }> {
  const loader = new WeightLoader(gpu, checkpoint, settings.weights);
  const weights = nameWeights(loader, config, layoutOf(config.layers, config.swiftkv), { teacher });
  // Before the download, so that a cache too large for this adapter is known at once.
  const early = student ? null : assemble(gpu, config, weights, settings, loader);
  await loader.load(signal);
  const model = early ?? (await assembleStudent(gpu, { ...config, swiftkv: student }, weights, settings));
  await makeReady(model, settings, { report, signal });
  return { ...model, parameters: loader.parameters };
}

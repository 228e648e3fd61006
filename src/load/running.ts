// Weights and settings -> a model that runs: its cache, its kernels chosen and compiled.
import type { KvModel, LoadProgress, ModelInfo } from "../api.ts";
import type { Language } from "../chat/session.ts";
import { alignUp } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { BLOCK_TOKENS } from "../kv/blocks.ts";
import { isWritten } from "../kv/format.ts";
import type { Recipe } from "../kv/recipe.ts";
import type { KvBounds, SystemTensors } from "../kv/system.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Fit, Weights } from "../model/context.ts";
import { Later } from "../later.ts";
import { basis } from "../model/layer/attention.ts";
import { placing } from "../model/layer/qkv.ts";
import { extra } from "../model/layer/systems.ts";
import type { RoundedProducts } from "../model/ops/rounded.ts";
import { Variants } from "../model/ops/variants.ts";
import type { PictureRows } from "../model/vision/pictures.ts";
import { Transformer } from "../model/transformer.ts";
import type { Turn } from "../model/trial.ts";
import { DEFAULT_CONTEXT, type Settings } from "./settings.ts";

/** Reading and writing students' files: there for every engine that has a fitted student. */
export const students = new Later(() => import("./student.ts"));

/** Tells the caller how far loading is. */
export type Report = (progress: Partial<LoadProgress> & Pick<LoadProgress, "phase">) => void;

/** A model with a cache, as it runs. */
export interface RunningModel {
  config: ModelConfig;
  weights: Weights;
  variants: Variants;
  transformer: Transformer;
  recipe: Recipe;
  bounds: KvBounds;
}

/** What an engine is made of. */
export interface LoadedModel extends RunningModel {
  gpu: Gpu;
  /** What no conversion changes. */
  identity: Pick<ModelInfo, "name" | "parameters" | "sampling" | "hash">;
  language: Language;
  settings: Settings;
  loadMs: number;
}

/** `tensors`: of the checkpoint, where it is still to be loaded. */
export async function assemble(
  gpu: Gpu,
  config: ModelConfig,
  weights: Weights,
  settings: Settings,
  tensors: SystemTensors | null = null,
): Promise<RunningModel> {
  const { kv: recipe, sequences, chunk, arenaBytes, reserve } = settings;
  recipe.check(config);
  await recipe.load();
  const context = alignUp(settings.context ?? Math.min(config.context, DEFAULT_CONTEXT), BLOCK_TOKENS);
  const bounds = { context, rows: Math.min(chunk, context) + sequences - 1, sequences };
  const kv = recipe.resolve(kvModelOf(config), bounds);
  if (kv.sealed || !isWritten(kv.kept)) await basis.load();
  if (kv.systems.length > 0) await extra.load();
  if (kv.systems.some(({ weights }) => weights)) {
    const { nameTrained } = await import("./trained.ts");
    nameTrained(gpu, kv.systems, settings.trained, tensors);
  }
  const variants = await Variants.of(gpu, config, kv.written.bits);
  if (config.allHeadsNorm || variants.placesHeads) await placing.load();
  const pictures = await picturesOf(gpu, config, weights, variants, bounds.rows);
  const rounded = await roundedOf(gpu, { config, weights }, variants, bounds.rows, settings);
  const options = { ...bounds, kv, arenaBytes, reserve, pictures, rounded };
  const transformer = new Transformer(gpu, config, weights, variants, options);
  return { config, weights, variants, transformer, recipe, bounds };
}

/** Products of rounded rows, fetched where they are asked for; null where the adapter has none: they stay in f32. */
async function roundedOf(
  gpu: Gpu,
  model: { config: ModelConfig; weights: Weights },
  variants: Variants,
  rows: number,
  settings: Settings,
): Promise<RoundedProducts | null> {
  if (!settings.int8Products && !settings.matrixProducts) return null;
  return (await import("../model/ops/rounded.ts")).roundedFor(gpu, model, variants, rows, settings);
}

async function picturesOf(
  gpu: Gpu,
  { vision: config, vocabulary, hiddenSize: width }: ModelConfig,
  { vision: weights }: Weights,
  variants: Variants,
  rows: number,
): Promise<PictureRows | null> {
  if (!config || !weights) return null;
  const { PictureRows } = await import("../model/vision/pictures.ts");
  return new PictureRows({ gpu, config, weights, variants, vocabulary, width, rows });
}

export const kvModelOf = ({
  hiddenSize,
  layers,
  heads,
  kvHeads,
  headWidth,
  windows,
  context,
  swiftkv,
}: ModelConfig): KvModel => ({
  hiddenSize,
  layers,
  heads,
  kvHeads,
  headWidth,
  windows,
  context,
  swiftkv,
});

export async function assembleStudent(
  gpu: Gpu,
  config: ModelConfig,
  weights: Weights,
  settings: Settings,
  fit: Fit | null,
): Promise<RunningModel> {
  const { makeStudent } = await import("../model/swiftkv/student.ts");
  if (fit) await students.load(); // its engine writes the file without waiting
  return assemble(gpu, config, await makeStudent(gpu, config, weights, fit), settings);
}

/** How a model is made ready. */
export interface Making {
  report: Report;
  signal: AbortSignal | undefined;
  /** Names of kernel variants, as on the device before: nothing is measured. */
  variants?: Readonly<Record<string, string>> | undefined;
}

/** Which kernel variants this adapter ran fastest on earlier visits. */
async function memoryOf({ fingerprint }: Transformer) {
  const { remembered } = await import("../io/remember.ts");
  return remembered(fingerprint);
}

/**
 * Compiles the kernels, with the variants that earlier visits found fastest. Needs no weights: it can go on while they
 * come, and takes as long on a CPU adapter.
 */
export async function compile(
  { transformer, variants }: RunningModel,
  { tune }: Settings,
  { variants: before }: Pick<Making, "variants">,
): Promise<void> {
  if (before) variants.chooseAll(before);
  else if (tune !== "off") await transformer.recall(await memoryOf(transformer));
  await transformer.compile({ soon: tune === "auto" });
}

/** Where the caller waits for it: measures the variants that no visit has measured yet, and compiles what it chose. */
export async function choose(
  { transformer }: RunningModel,
  { tune }: Settings,
  { report, signal, variants }: Making,
): Promise<void> {
  signal?.throwIfAborted();
  if (tune !== "wait" || !transformer.isUntuned || variants) return;
  report({ phase: "tune" });
  await tuneNow(transformer, (work) => work(), signal);
  await transformer.compile();
}

/** Measures what is open, in turns. */
export async function tuneNow(transformer: Transformer, turn: Turn, signal: AbortSignal | undefined): Promise<void> {
  if (transformer.isUntuned) await transformer.tune({ memory: await memoryOf(transformer), turn, signal });
}

/** Both, for a model whose weights are there. */
export async function makeReady(model: RunningModel, settings: Settings, how: Making): Promise<void> {
  await compile(model, settings, how);
  await choose(model, settings, how);
}

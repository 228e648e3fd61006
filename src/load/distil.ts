// Texts -> a student trained to answer as the ordinary model does: the loop around src/train, its options, its checkpoints.
import type { CalibrationProgress, DistilOptions, SwiftKv } from "../api.ts";
import { alignUp, InputError, UnsupportedError } from "../errors.ts";
import { layoutOf, sameShape } from "../kv/systems/swiftkv/layout.ts";
import { chunkRowsOf } from "../kv/plan.ts";
import { mostWindowTokens } from "../model/calibrate.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Fit, QkvProjection, Weights } from "../model/context.ts";
import type { Transformer } from "../model/transformer.ts";
import { ADAM } from "../train/optimiser.ts";
import { originOf, shapesOf, startOf } from "../train/start.ts";
import { countOf, ROW_ALIGN, Trainer, type Window } from "../train/trainer.ts";
import { calibrate, checkTokens, type Teacher, tokensOf, windowsOf } from "./calibrate.ts";
import { type Checkpoint, fitOf, type Progress, readCheckpoint, type Recipe, writeCheckpoint } from "./training.ts";

/** An ordinary model that is ready to run, and what there is of a student of it. */
export interface Distillation extends Teacher {
  identity: { name: string; hash: string };
  weights: Weights & { teacher: readonly QkvProjection[] };
  /** Of this shape. */
  fit: Fit | null;
}

const DEFAULTS: Omit<Recipe, "window"> = {
  steps: 120,
  rate: 3e-4,
  warmup: 10,
  temperature: 2,
  hiddenWeight: 0,
  clip: ADAM.clip,
  batch: 1,
  seed: 0,
};
const DEFAULT_WINDOW = 512;
const DEFAULT_CHECKPOINT_EVERY = 50;

/** What each number may be. */
const RANGES: Record<keyof Recipe, { least: number; most: number; whole?: boolean }> = {
  steps: { least: 1, most: 1e6, whole: true },
  rate: { least: 1e-9, most: 1 },
  warmup: { least: 0, most: 1e6, whole: true },
  temperature: { least: 0.1, most: 100 },
  hiddenWeight: { least: 0, most: 1e6 },
  clip: { least: 1e-6, most: 1e30 },
  window: { least: 2, most: 65536, whole: true },
  batch: { least: 1, most: 4096, whole: true },
  seed: { least: 0, most: 2 ** 32 - 1, whole: true },
};

/**
 * The student after the last step. Throws InputError for texts and options that cannot be used. On abort the step under
 * way is finished, `onCheckpoint` gets its state, and the signal's reason is thrown. Nothing is left on the GPU.
 */
export async function distil(model: Distillation, shape: SwiftKv, options: DistilOptions): Promise<Fit> {
  const { config, transformer, identity, language } = model;
  const layout = layoutOf(config.layers, shape);
  const shapesFor = (biased: boolean) => shapesOf(config, layout, { biasedStores: biased });
  checkModel(config, transformer);
  const resumed = options.resume ? await readCheckpoint(options.resume, identity, config) : null;
  if (resumed && !sameShape(resumed.progress.swiftkv, shape))
    throw new InputError(
      `resume: got ${shapeText(shape)}, want ${shapeText(resumed.progress.swiftkv)}, as the training began. Ask for that, or begin again.`,
    );
  const recipe = recipeOf(options, resumed?.progress.recipe ?? null, mostRows(transformer));
  const windows = readWindows(options, recipe, { language, config });
  const text = fingerprint(windows);
  if (resumed && resumed.progress.text !== text)
    throw new InputError("resume: got another text than the training began with, want the same. Give that one.");
  const { progress, state } = resumed ?? (await begin(model, shape, options, { recipe, text }));
  const gpu = model.gpu.fork();
  try {
    return await gpu.guardMemory(async () => {
      const keys = state.get("weights")!.get(`model.layers.${shape.layers}.self_attn.k_proj_swiftkv`)!;
      const shapes = shapesFor(keys.bias !== null);
      const rows = alignUp(recipe.window, ROW_ALIGN);
      const trainer = await Trainer.build(gpu, transformer, { layout, shapes }, { ...ADAM, ...recipe, rows });
      for (const [part, values] of state) trainer.write(values, part);
      state.clear(); // as large as the tensors on the GPU
      await train(trainer, progress, windows, model, options);
      return fitOf({ progress, state: await trainer.read(["weights"]) }, config);
    });
  } finally {
    gpu.dispose();
  }
}

const shapeText = ({ layers, group }: SwiftKv): string => `K ${layers}, G ${group}`;

// ---- options ----

/** Rows that a window can have. */
function mostRows(transformer: Transformer): number {
  const most = Math.min(chunkRowsOf(transformer.limits), mostWindowTokens(transformer));
  return Math.floor(most / ROW_ALIGN) * ROW_ALIGN;
}

/** Most workgroups along one side of a grid. */
const MOST_GROUPS = 65535;

function checkModel(config: ModelConfig, transformer: Transformer): void {
  const { hiddenSize: D, heads: H, kvHeads: G, headWidth: E } = config;
  checkFamily(config);
  // Biases lie behind their matrix, where a binding may begin.
  if ((D * G * E) % 64 !== 0 || (D * H * E) % 64 !== 0)
    throw new UnsupportedError(`distil: widths; got hidden_size ${D} and head_dim ${E}, want products of 64.`);
  const most = mostRows(transformer);
  if (most < ROW_ALIGN || most * H > MOST_GROUPS)
    throw new InputError(
      `distil: chunk; got ${chunkRowsOf(transformer.limits)}, want from ${ROW_ALIGN} to ${Math.floor(MOST_GROUPS / H)}. Load the model with another chunk or context.`,
    );
}

/** What the way back is written for. */
function checkFamily({ architecture, norms, activation, rotations, headWidth, fileHeadWidth }: ModelConfig): void {
  const refuse = (got: string, want: string): never => {
    throw new UnsupportedError(`distil: ${architecture}; got ${got}, want ${want}. Calibrate it instead.`);
  };
  if (norms !== "before" || activation !== "silu") refuse("other layers than Llama's", "norms before blocks and SiLU");
  if (rotations.length > 1 || rotations[0]!.queries) refuse("layers that turn differently", "one rotation for all");
  if (headWidth !== fileHeadWidth) refuse(`heads of ${fileHeadWidth} channels`, "a multiple of 8");
}

/** The options, checked and complete. A training that goes on keeps those that it began with. */
function recipeOf(options: DistilOptions, begun: Recipe | null, most: number): Recipe {
  const names = Object.keys(RANGES) as (keyof Recipe)[];
  for (const name of names) {
    const value = options[name];
    if (value === undefined) continue;
    const { least, most, whole } = RANGES[name];
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value)))
      throw new InputError(`${name}: got ${value}, want a ${whole ? "whole " : ""}number from ${least} to ${most}.`);
    if (begun && name !== "window" && value !== begun[name])
      throw new InputError(`resume: got ${name} ${value}, want ${begun[name]}, as the training began. Leave it out.`);
  }
  const given = Object.fromEntries(
    names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  );
  const recipe = begun ?? { ...DEFAULTS, window: DEFAULT_WINDOW, ...given };
  if (begun && begun.window > most)
    throw new InputError(
      `resume: got a model for chunks of ${most} tokens, want ${begun.window}, the window that the training began with. Load the model with a larger chunk and context.`,
    );
  return { ...recipe, window: Math.min(recipe.window, most) };
}

// ---- texts ----

function readWindows(
  { texts, tokens, windows }: DistilOptions,
  { window }: Recipe,
  { language, config }: Pick<Teacher, "language" | "config">,
): readonly Window[] {
  const given = [texts, tokens, windows].filter((each) => each !== undefined);
  if (given.length !== 1)
    throw new InputError(`distil: got ${given.length} of texts, tokens and windows, want one of them.`);
  if (!windows) return cut(tokensOf((texts ?? tokens)!, language, config, "distil"), window);
  for (const [i, { tokens, mask }] of windows.entries()) {
    checkTokens(tokens, config, `distil: window ${i + 1}`);
    if (tokens.length > window)
      throw new InputError(`distil: window ${i + 1}; got ${tokens.length} tokens, want at most ${window}.`);
    if (mask && mask.length !== tokens.length && mask.length !== tokens.length - 1)
      throw new InputError(
        `distil: window ${i + 1}; got a mask of ${mask.length}, want ${tokens.length}, one for each token.`,
      );
  }
  return enough(windows);
}

/** Windows as calibration has them, without a short rest. */
function cut({ tokens, prefix }: ReturnType<typeof tokensOf>, window: number): readonly Window[] {
  const all = windowsOf(tokens, prefix, window).map((each) => ({ tokens: each }));
  const whole = all.filter(({ tokens }) => 2 * tokens.length >= window);
  return enough(whole.length > 0 ? whole : all);
}

function enough(windows: readonly Window[]): readonly Window[] {
  const empty = windows.findIndex((window) => countOf(window) === 0);
  if (windows.length > 0 && empty < 0) return windows;
  throw new InputError(
    windows.length === 0
      ? "distil: too short; got no token, want at least 2. Give a longer text."
      : `distil: window ${empty + 1}; got nothing to predict, want at least 2 tokens, and a mask that is not all 0.`,
  );
}

/** Tells texts apart: 32-bit FNV-1a over lengths and ids. */
function fingerprint(windows: readonly Window[]): number {
  let hash = 0x811c9dc5;
  const add = (value: number) => (hash = Math.imul(hash ^ value, 0x01000193) >>> 0);
  for (const { tokens, mask } of windows) for (const value of [tokens.length, ...tokens, ...(mask ?? [])]) add(value);
  return hash;
}

// ---- the beginning ----

async function begin(
  model: Distillation,
  shape: SwiftKv,
  options: DistilOptions,
  { recipe, text }: Pick<Progress, "recipe" | "text">,
): Promise<Checkpoint> {
  const { config, weights, identity } = model;
  const layout = layoutOf(config.layers, shape);
  const trained = originOf(weights, null, shape).trained;
  const fit = model.fit ?? (options.start === "folded" || trained ? null : await fitted(model, shape, options, recipe));
  const own = model.gpu.fork();
  try {
    const origin = originOf(weights, fit, shape);
    const start = await startOf(own, config, layout, origin);
    const made = { name: identity.name, base: identity.hash, swiftkv: shape, made: fit?.made ?? null };
    const progress: Progress = { version: 1, ...made, recipe, text, step: 0, tokens: 0, losses: [] };
    return { progress, state: new Map([["weights", start]]) };
  } finally {
    own.dispose();
  }
}

/** A start fitted to the same text. */
function fitted(model: Distillation, shape: SwiftKv, options: DistilOptions, { window }: Recipe): Promise<Fit> {
  const { texts, tokens, windows, onProgress, signal } = options;
  const report = ({ tokens: done, totalTokens: total, secondsLeft }: CalibrationProgress) =>
    onProgress?.({ phase: "calibrate", done, total, loss: null, hiddenLoss: null, gradientNorm: null, secondsLeft });
  const text = texts ?? tokens ?? windows!.flatMap((each) => [...each.tokens]);
  return calibrate(model, shape, { calibrate: text, window, onProgress: report, signal });
}

// ---- the loop ----

async function train(
  trainer: Trainer,
  progress: Progress,
  windows: readonly Window[],
  { alone }: Distillation,
  { onProgress, onCheckpoint, checkpointEvery = DEFAULT_CHECKPOINT_EVERY, signal }: DistilOptions,
): Promise<void> {
  const { recipe } = progress;
  const first = progress.step;
  const began = performance.now();
  const order = new Order(windows.length, recipe.seed);
  const shapes = trainer.tensors.map(({ shape }) => shape);
  signal?.throwIfAborted();
  while (progress.step < recipe.steps) {
    const batch = Array.from({ length: recipe.batch }, (_, i) => windows[order.at(progress.step * recipe.batch + i)]!);
    const update = { rate: rateOf(recipe, progress.step), step: progress.step + 1 };
    const { logits, hidden, gradientNorm } = await alone(() => trainer.step(batch, update));
    if (!Number.isFinite(logits + gradientNorm))
      throw new InputError(
        `distil: step ${update.step}; got a loss of ${logits} with a gradient of ${gradientNorm}, want numbers. Begin again with a lower rate.`,
      );
    progress.step++;
    progress.tokens += batch.reduce((sum, { tokens }) => sum + tokens.length, 0);
    progress.losses.push(logits);
    const seconds = (performance.now() - began) / 1000;
    const secondsLeft = (seconds / (progress.step - first)) * (recipe.steps - progress.step);
    const [done, total] = [progress.step, recipe.steps];
    onProgress?.({ phase: "train", done, total, loss: logits, hiddenLoss: hidden, gradientNorm, secondsLeft });
    const over = progress.step === recipe.steps;
    if (onCheckpoint && (over || signal?.aborted || progress.step % checkpointEvery === 0))
      await onCheckpoint(writeCheckpoint({ progress, state: await trainer.read() }, shapes));
    if (!over) signal?.throwIfAborted();
  }
}

/** Of step 0, 1, …: linear up over the warm-up, then linear to 0 at the end. */
function rateOf({ rate, warmup, steps }: Recipe, step: number): number {
  if (step < warmup) return (rate * (step + 1)) / warmup;
  return (rate * (steps - step)) / Math.max(1, steps - warmup);
}

/** Windows in an order of chance, each once before any comes again. */
class Order {
  readonly #count: number;
  readonly #seed: number;
  #epoch = -1;
  #places: number[] = [];

  constructor(count: number, seed: number) {
    this.#count = count;
    this.#seed = seed;
  }

  at(index: number): number {
    const epoch = Math.floor(index / this.#count);
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#places = shuffled(this.#count, this.#seed + epoch);
    }
    return this.#places[index % this.#count]!;
  }
}

/** 0 … count − 1, by Fisher and Yates with a linear congruential generator. */
function shuffled(count: number, seed: number): number[] {
  const places = Array.from({ length: count }, (_, i) => i);
  let x = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  for (let i = count - 1; i > 0; i--) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((x / 2 ** 32) * (i + 1));
    [places[i], places[j]] = [places[j]!, places[i]!];
  }
  return places;
}

// A student in training: windows of tokens go in, its tensors change. One step reads each window once with the ordinary
// model (the teacher), takes the student's later layers from the same layer K input, and goes back through them.
import type { Gpu } from "../gpu/device.ts";
import { type AnyDispatch, Program } from "../gpu/program.ts";
import { Readback } from "../gpu/readback.ts";
import { blocksFor } from "../kv/blocks.ts";
import type { Layout } from "../kv/layout.ts";
import type { ModelContext, QkvProjection } from "../model/context.ts";
import { tapped } from "../model/forward.ts";
import { readWindow } from "../model/calibrate.ts";
import type { Sizes } from "../model/ops/sizes.ts";
import type { Transformer } from "../model/transformer.ts";
import { keep, scratchOf } from "./buffers.ts";
import { finalNormBackwards, hiddenLoss, logitLoss, type LossOptions } from "./loss.ts";
import { type AdamOptions, Optimiser } from "./optimiser.ts";
import { copied, type Dispatches, normalised } from "./ops.ts";
import { keyNorm, vectorOf } from "./start.ts";
import { layerBackwards, sharedNormBackwards, studentForwards, type Training } from "./student.ts";
import { PARTS, type Part, type TensorShape, TrainedTensor, type Values } from "./tensor.ts";

export interface Window {
  /** T ids, or fewer: what is missing counts nothing. */
  tokens: readonly number[];
  /** mask[t] = 0: the prediction of token t + 1 does not count. */
  mask?: readonly number[];
}

/** What a step found, before its update. */
export interface StepLoss {
  /** τ²·KL, and the mean square distance: means over the predictions that count. */
  logits: number;
  hidden: number;
  gradientNorm: number;
}

export interface TrainerOptions extends LossOptions, AdamOptions {
  /** T: a multiple of ROW_ALIGN, and at most the rows of a chunk of the teacher. */
  rows: number;
}

/** Heads lie turned, [·, T], and a binding begins on whole vec4. */
export const ROW_ALIGN = 8;

/** Work under way between two looks at the abort signal, and what a driver gives one submit at most: a program each. */
interface Programs {
  teacher: Program<Sizes>;
  student: readonly Program<Sizes>[];
}

/** Everything is fixed when a program is built; only the teacher's has sizes that its rows bring. */
const FIXED = {} as Sizes;

export class Trainer {
  readonly tensors: readonly TrainedTensor[];
  readonly #gpu: Gpu;
  readonly #transformer: Transformer;
  readonly #training: Training;
  readonly #programs: Programs;
  readonly #optimiser: Optimiser;
  readonly #losses: Readback;
  readonly #norm: Readback;

  private constructor(
    gpu: Gpu,
    transformer: Transformer,
    training: Training,
    programs: Programs,
    optimiser: Optimiser,
  ) {
    this.#gpu = gpu;
    this.#transformer = transformer;
    this.#training = training;
    this.tensors = [...training.tensors.values()];
    this.#programs = programs;
    this.#optimiser = optimiser;
    this.#losses = new Readback(gpu, 8 * training.rows, 1);
    this.#norm = new Readback(gpu, 8, 1);
  }

  /** `gpu` owns the buffers: whoever disposes of it frees them. `transformer`: the ordinary model. */
  static async build(
    gpu: Gpu,
    transformer: Transformer,
    { layout, shapes }: { layout: Layout; shapes: readonly TensorShape[] },
    options: TrainerOptions,
  ): Promise<Trainer> {
    await transformer.reserve({ blocks: blocksFor(options.rows) });
    const model = { ...transformer.context, gpu };
    const training = await prepare(gpu, model, { layout, shapes }, options.rows);
    const student = await Promise.all(
      studentParts(training, options).map(([label, dispatches]) => Program.build(gpu, label, dispatches)),
    );
    const teacher = await tapped(model, (layer) => taps(training, layer), model.config.layers);
    const optimiser = await Optimiser.build(gpu, [...training.tensors.values()], options);
    return new Trainer(gpu, transformer, training, { teacher, student }, optimiser);
  }

  /** Gradients of the windows together, and an update. `step`: from 1 on. Writes over the teacher's cache. */
  async step(windows: readonly Window[], update: { rate: number; step: number }): Promise<StepLoss> {
    const { device } = this.#gpu;
    const counted = windows.reduce((sum, window) => sum + countOf(window), 0);
    const cleared = device.createCommandEncoder();
    this.#optimiser.clear(cleared);
    this.#gpu.submit(cleared);
    const loss: StepLoss = { logits: 0, hidden: 0, gradientNorm: 0 };
    for (const window of windows) {
      const { logits, hidden } = await this.#window(window, counted);
      loss.logits += logits;
      loss.hidden += hidden;
    }
    const encoder = device.createCommandEncoder();
    this.#optimiser.encode(encoder, update);
    const factor = new Float32Array(
      await this.#norm.submit(encoder, [{ source: this.#optimiser.factor, offset: 0, bytes: 8 }])(),
    );
    return { ...loss, gradientNorm: factor[1]! };
  }

  async #window(window: Window, counted: number): Promise<Pick<StepLoss, "logits" | "hidden">> {
    const { rows, kept } = this.#training;
    const { device } = this.#gpu;
    const shares = Float32Array.from({ length: rows }, (_, t) => counts(window, t) / counted);
    this.#gpu.write(kept.shares, 0, shares);
    const tokens = Array.from({ length: rows }, (_, t) => window.tokens[t] ?? 0);
    await readWindow(this.#transformer, this.#programs.teacher, tokens, () => {});
    for (const program of this.#programs.student) {
      this.#gpu.check();
      program.prepare(FIXED);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      program.encode(pass);
      pass.end();
      this.#gpu.submit(encoder);
    }
    const read = await this.#losses.submit(device.createCommandEncoder(), [
      { source: kept.losses, offset: 0, bytes: 8 * rows },
    ])();
    const sum = (part: number) => new Float32Array(read, part * rows * 4, rows).reduce((a, b) => a + b, 0);
    return { logits: sum(0), hidden: sum(1) };
  }

  /** Takes over a tensor's numbers, or those of its means. */
  write(values: ReadonlyMap<string, Values>, part: Part = "weights"): void {
    for (const tensor of this.tensors) {
      const own = values.get(tensor.shape.name);
      if (own) tensor.write(this.#gpu, part, own);
    }
  }

  /** The numbers of every tensor, part after part. */
  async read(parts: readonly Part[] = PARTS): Promise<Map<Part, Map<string, Values>>> {
    const read = new Map<Part, Map<string, Values>>();
    for (const part of parts) {
      const values = new Map<string, Values>();
      for (const tensor of this.tensors) values.set(tensor.shape.name, await tensor.read(this.#gpu, part));
      read.set(part, values);
    }
    return read;
  }
}

/** Whether the prediction at t counts: of a token that is there. */
const counts = ({ tokens, mask }: Window, t: number): number => (t + 1 < tokens.length ? (mask?.[t] ?? 1) : 0);

/** Predictions that count. */
export const countOf = (window: Window): number => window.tokens.reduce((sum, _, t) => sum + counts(window, t), 0);

export async function prepare(
  gpu: Gpu,
  model: ModelContext,
  { layout, shapes }: { layout: Layout; shapes: readonly TensorShape[] },
  rows: number,
): Promise<Training> {
  const { config } = model;
  const ordinary = model.weights.layers.map(({ qkv }) => qkv);
  const { hiddenSize: D, headWidth: E, headNorm } = config;
  const ones = gpu.buffer("ones", D * 4, "scratch");
  gpu.write(ones, 0, new Float32Array(D).fill(1));
  const vector = (label: string, values: Float32Array<ArrayBuffer>): GPUBuffer => {
    const buffer = gpu.buffer(label, values.byteLength, "scratch");
    gpu.write(buffer, 0, values);
    return buffer;
  };
  const copies = async (label: string, at: (qkv: QkvProjection) => number, count: number): Promise<GPUBuffer[]> => {
    const made: GPUBuffer[] = [];
    for (const qkv of ordinary.slice(layout.boundary))
      made.push(vector(label, await vectorOf(gpu, qkv, at(qkv), count)));
    return made;
  };
  const { first, count } = layout.fills[layout.boundary]!;
  const keyNorms: GPUBuffer[] = [];
  for (let i = 0; i < (headNorm ? count : 0); i++)
    keyNorms.push(vector("key norm", await keyNorm(gpu, config, layout, first + i, ordinary)));
  const scratch = scratchOf(gpu, config, rows);
  return {
    model,
    variant: model.variants.matmul,
    rows,
    turnedWeights: scratch.turnedWeights,
    layout,
    kept: keep(gpu, config, layout, rows),
    scratch,
    tensors: new Map(shapes.map((shape) => [shape.name, new TrainedTensor(gpu, shape)])),
    ones,
    inputNorms: await copies("input norm", ({ vectors }) => vectors.gammaQ, D),
    queryNorms: headNorm ? await copies("query norm", ({ vectors }) => vectors.queryNormAt, E) : [],
    keyNorms,
  };
}

/** What the teacher leaves: layer K's input, the last layer's, and what the final norm gives. */
function taps({ model, rows, layout, kept }: Training, layer: number): AnyDispatch<Sizes>[] {
  const { gpu, config, weights, activations } = model;
  const { hiddenSize: width, layers, normEpsilon: epsilon } = config;
  const { hidden: x } = activations;
  const taken: Dispatches = [];
  if (layer === layout.boundary) taken.push(copied("layer K's input", x, kept.layers[0]!.enters, rows * width));
  if (layer === layers - 1) taken.push(copied("last layer's input", x, kept.wantHidden, rows * width));
  if (layer === layers) {
    const norm = { label: "final norm", rows, width, epsilon, weight: weights.finalNorm, x };
    taken.push(normalised(gpu, norm, kept.wantNormed));
  }
  return taken;
}

/** The student's dispatches in parts that are submitted one by one. */
export function studentParts(training: Training, options: LossOptions): [label: string, dispatches: Dispatches][] {
  const { layers } = training.model.config;
  const { boundary } = training.layout;
  const parts: [string, Dispatches][] = [["student", studentForwards(training)]];
  for (const [i, tile] of logitLoss(training, options).entries()) parts.push([`loss ${i}`, tile]);
  parts.push(["final norm back", finalNormBackwards(training)]);
  for (let layer = layers - 1; layer >= boundary; layer--)
    parts.push([
      `layer ${layer} back`,
      [...layerBackwards(training, layer), ...(layer === layers - 1 ? hiddenLoss(training, options) : [])],
    ]);
  parts.push(["norm_swiftkv back", sharedNormBackwards(training)]);
  return parts;
}

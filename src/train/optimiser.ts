// AdamW over all trained tensors, with the gradient clipped by its norm.
import { adamw, clip } from "../gpu/kernels.gen.ts";
import type { Gpu } from "../gpu/device.ts";
import { type AnyDispatch, dispatch, Program } from "../gpu/program.ts";
import { dotted, spread } from "./ops.ts";
import type { TrainedTensor } from "./tensor.ts";

export interface AdamOptions {
  beta1: number;
  beta2: number;
  epsilon: number;
  decay: number;
  /** Of the gradient's norm. */
  clip: number;
}

export const ADAM: AdamOptions = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0, clip: 1 };

/** What changes from step to step. */
interface Update {
  rate: number;
  /** From 1 on. */
  step: number;
}

export class Optimiser {
  readonly #gpu: Gpu;
  readonly #measure: Program<object>;
  readonly #update: Program<Update>;
  readonly #tensors: readonly TrainedTensor[];
  /** [2] what clipping multiplies by, and the gradient's norm */
  readonly factor: GPUBuffer;

  private constructor(
    gpu: Gpu,
    tensors: readonly TrainedTensor[],
    programs: { measure: Program<object>; update: Program<Update> },
    factor: GPUBuffer,
  ) {
    this.#gpu = gpu;
    this.#tensors = tensors;
    this.#measure = programs.measure;
    this.#update = programs.update;
    this.factor = factor;
  }

  static async build(gpu: Gpu, tensors: readonly TrainedTensor[], options: AdamOptions): Promise<Optimiser> {
    const rows = tensors.reduce((sum, tensor) => sum + tensor.rows, 0);
    const squares = gpu.buffer("squares of gradients", rows * 4, "scratch");
    const factor = gpu.buffer("clipping", 8, "scratch");
    const measured: AnyDispatch<object>[] = [];
    let at = 0;
    for (const { shape, gradient, rows } of tensors) {
      const sums = { a: gradient, b: gradient, out: squares, at };
      measured.push(dotted(`${shape.name} squares`, sums, rows, shape.outputs) as AnyDispatch<object>);
      at += rows;
    }
    measured.push(
      dispatch({
        kernel: clip,
        constants: { WG: gpu.profile.normThreads },
        label: "clip",
        buffers: { squares, factor },
        params: () => ({ count: rows, limit: options.clip }),
        grid: () => [1, 1, 1],
        bytes: () => 4 * rows,
        flops: () => rows,
      }),
    );
    const measure = await Program.build(gpu, "gradient norm", measured);
    const update = await Program.build(
      gpu,
      "adamw",
      tensors.map((tensor) => updateOf(tensor, factor, options)),
    );
    return new Optimiser(gpu, tensors, { measure, update }, factor);
  }

  /** Forgets the gradients. */
  clear(encoder: GPUCommandEncoder): void {
    for (const { gradient } of this.#tensors) encoder.clearBuffer(gradient);
  }

  encode(encoder: GPUCommandEncoder, update: Update): void {
    this.#gpu.check();
    this.#measure.prepare({});
    this.#update.prepare(update);
    const pass = encoder.beginComputePass();
    this.#measure.encode(pass);
    this.#update.encode(pass);
    pass.end();
  }
}

function updateOf(tensor: TrainedTensor, factor: GPUBuffer, options: AdamOptions): AnyDispatch<Update> {
  const { beta1, beta2, epsilon, decay } = options;
  const { shape, gradient, count } = tensor;
  return dispatch({
    kernel: adamw,
    constants: { WG: 64 },
    label: `${shape.name} adamw`,
    buffers: {
      gradient,
      factor,
      weights: tensor.weights,
      first: tensor.part("first"),
      second: tensor.part("second"),
    },
    params: ({ rate, step }: Update) => ({
      count,
      keep: 1 - rate * decay,
      beta1,
      share1: 1 - beta1,
      beta2,
      share2: 1 - beta2,
      eps: epsilon,
      size: rate / (1 - beta1 ** step),
      root: Math.sqrt(1 - beta2 ** step),
    }),
    grid: () => spread(count),
    bytes: () => 28 * count,
    flops: () => 14 * count,
  });
}

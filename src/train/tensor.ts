// A tensor that is trained: its weights in f32, their gradient and AdamW's two means, on the GPU.
//
// A matrix lies there as the GEMM wants its right operand, [inputs, outputs], and its bias as one more row: the sum over
// tokens that makes the gradient, [x; 1]ᵀ·dy, has the same form (shaders/rows/transpose.wgsl). In files it is [outputs,
// inputs], as checkpoints have it.
import { fetched } from "../gpu/fetched.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Bindable } from "../gpu/kernel.ts";

/** What a tensor consists of: itself, and the means of its gradient and of its square. */
export const PARTS = ["weights", "first", "second"] as const;
export type Part = (typeof PARTS)[number];

/** Numbers of a matrix and its bias as files have them. */
export interface Values {
  /** [outputs, inputs] */
  weight: Float32Array<ArrayBuffer>;
  /** [outputs] */
  bias: Float32Array<ArrayBuffer> | null;
}

export interface TensorShape {
  /** Without ".weight" or ".bias": "model.norm_swiftkv". */
  name: string;
  /** A vector is a matrix of one input. */
  inputs: number;
  outputs: number;
  biased: boolean;
}

export class TrainedTensor {
  readonly shape: TensorShape;
  /** [inputs + 1, outputs] each; the last row counts where there is a bias. */
  readonly gradient: GPUBuffer;
  readonly #parts: Record<Part, GPUBuffer>;

  constructor(gpu: Gpu, shape: TensorShape) {
    this.shape = shape;
    const bytes = (shape.inputs + 1) * shape.outputs * 4;
    const make = (what: string) => gpu.buffer(`${shape.name} ${what}`, bytes, "scratch");
    this.gradient = make("gradient");
    this.#parts = { weights: make("weights"), first: make("first"), second: make("second") };
  }

  part(part: Part): GPUBuffer {
    return this.#parts[part];
  }

  get weights(): GPUBuffer {
    return this.#parts.weights;
  }

  /** Of the bias in each buffer, where there is one. */
  get bias(): Bindable | undefined {
    const { inputs, outputs, biased } = this.shape;
    return biased ? { buffer: this.weights, offset: inputs * outputs * 4, size: outputs * 4 } : undefined;
  }

  /** Rows that are trained, and numbers in them. */
  get rows(): number {
    return this.shape.inputs + (this.shape.biased ? 1 : 0);
  }

  get count(): number {
    return this.rows * this.shape.outputs;
  }

  write(gpu: Gpu, part: Part, { weight, bias }: Values): void {
    const { inputs, outputs } = this.shape;
    const turned = new Float32Array(this.count);
    for (let n = 0; n < outputs; n++)
      for (let k = 0; k < inputs; k++) turned[k * outputs + n] = weight[n * inputs + k]!;
    if (bias) turned.set(bias, inputs * outputs);
    gpu.write(this.#parts[part], 0, turned);
  }

  async read(gpu: Gpu, part: Part): Promise<Values> {
    const { inputs, outputs, biased } = this.shape;
    const turned = await readFloats(gpu, this.#parts[part], this.count);
    const weight = new Float32Array(inputs * outputs);
    for (let k = 0; k < inputs; k++)
      for (let n = 0; n < outputs; n++) weight[n * inputs + k] = turned[k * outputs + n]!;
    return { weight, bias: biased ? turned.slice(inputs * outputs) : null };
  }
}

/** The first floats of a buffer. */
export const readFloats = async (gpu: Gpu, buffer: GPUBuffer, count: number): Promise<Float32Array<ArrayBuffer>> =>
  new Float32Array(await fetched(gpu, buffer, count * 4));

// Sums over the tokens of a calibration text, taken while the ordinary model reads it: what a least-squares fit of the
// later layers' keys and values to layer K's input needs. docs/recovery.md.
//
// With x̂ = x_K / rms(x_K) and y_j = [keys of layer j before head norm and RoPE; its values], for every j ≥ K:
// gram = Σ [x̂; 1]·x̂ᵀ, cross_j = Σ [x̂; 1]·y_jᵀ, squares_j = Σ y_j². A chunk's sums are products of x̂ᵀ, by the GEMM
// kernels; they grow in f32 on the GPU for a few thousand tokens, then in float64 here.
import type { Gpu } from "../../gpu/device.ts";
import { square_sums, transpose } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { ceilDiv } from "../../errors.ts";
import type { ModelConfig } from "../config.ts";
import type { ModelContext } from "../context.ts";
import { dequantiseSlice, type GemmVariant, matmul, normalise, sliceColumns } from "../ops/linear.ts";
import type { Sizes } from "../ops/sizes.ts";

/** The sums in float64; S = D + 1, N = 2·G·E. */
export interface Sums {
  tokens: number;
  /** [S, S], symmetric */
  gram: Float64Array<ArrayBuffer>;
  /** Per layer from K on, [S, N]: sums with keys, then values. The last row is Σ y. */
  cross: readonly Float64Array<ArrayBuffer>[];
  /** Per layer: Σ over tokens and outputs of y². */
  squares: number[];
}

/** The buffers of one later layer. */
interface LayerSums {
  /** [S, N] */
  cross: GPUBuffer;
  /** [SLICES, N] */
  squares: GPUBuffer;
  /** [N], where the ordinary projection has one */
  bias: GPUBuffer | null;
}

/** Threads along the rows of a chunk that add up squares. */
const SLICES = 16;

const everyRow = (s: Sizes): number => s.rows;

export class Moments {
  readonly #gpu: Gpu;
  readonly #model: ModelContext;
  readonly #first: number;
  readonly #variant: GemmVariant;
  /** [D] ones: the weight of a norm that only divides */
  readonly #ones: GPUBuffer;
  /** [S, rows] x̂ᵀ, and ones */
  readonly #left: GPUBuffer;
  /** [rows, N] */
  readonly #outputs: GPUBuffer;
  /** [S, D] */
  readonly #gram: GPUBuffer;
  readonly #layers: readonly LayerSums[];
  readonly #staging: GPUBuffer;

  /** `gpu` owns the buffers: whoever disposes of it frees them. `first`: K. The model's layout is the ordinary one. */
  constructor(gpu: Gpu, model: ModelContext, first: number) {
    this.#gpu = gpu;
    this.#model = { ...model, gpu };
    this.#first = first;
    this.#variant = model.variants.matmul;
    const { D, N, rows } = widths(model);
    const make = (label: string, floats: number) => gpu.buffer(label, floats * 4, "scratch");
    this.#ones = make("ones", D);
    gpu.write(this.#ones, 0, new Float32Array(D).fill(1));
    this.#left = make("inputs turned", (D + 1) * rows);
    this.#outputs = make("keys and values", rows * N);
    this.#gram = make("gram", (D + 1) * D);
    this.#layers = Array.from({ length: model.config.layers - first }, (_, i) => ({
      cross: make(`cross ${first + i}`, (D + 1) * N),
      squares: make(`squares ${first + i}`, SLICES * N),
      bias: model.config.qkvBias ? make(`bias ${first + i}`, N) : null,
    }));
    const { COPY_DST, MAP_READ } = GPUBufferUsage;
    const largest = Math.max((D + 1) * Math.max(D, N), SLICES * N);
    this.#staging = gpu.buffer("sums on their way out", largest * 4, "scratch", COPY_DST | MAP_READ);
    this.#copyBiases();
  }

  /** The biases of keys and values, which lie among other vectors, at offsets that no binding may have. */
  #copyBiases(): void {
    const { config, weights } = this.#model;
    if (!config.qkvBias) return;
    const encoder = this.#gpu.device.createCommandEncoder();
    for (const [i, { bias }] of this.#layers.entries()) {
      const { buffer, biasAt } = weights.layers[this.#first + i]!.qkv.vectors;
      encoder.copyBufferToBuffer(buffer, (biasAt + config.heads * config.headWidth) * 4, bias!, 0, bias!.size);
    }
    this.#gpu.submit(encoder);
  }

  /** What reads the residual stream as it enters `layer`. */
  before(layer: number): AnyDispatch<Sizes>[] {
    if (layer < this.#first) return [];
    const taken = [this.#normalise(layer)];
    if (layer === this.#first) taken.push(this.#turn(), this.#addGram());
    return [...taken, ...this.#project(layer), ...this.#addCross(layer)];
  }

  /** hidden → x̂ in `normed`. */
  #normalise(layer: number): AnyDispatch<Sizes> {
    const { config, activations } = this.#model;
    return normalise(this.#gpu, {
      label: `layer ${layer} tap`,
      matrix: { depth: config.hiddenSize },
      x: activations.hidden,
      y: activations.normed,
      norm: { weight: this.#ones, epsilon: config.normEpsilon },
      rows: everyRow,
    });
  }

  /** x̂ → [x̂; 1]ᵀ of the chunk. */
  #turn(): AnyDispatch<Sizes> {
    const { config, activations } = this.#model;
    const depth = config.hiddenSize;
    return dispatch({
      kernel: transpose,
      constants: { WG: 64 },
      label: "inputs turned",
      buffers: { x: activations.normed, xt: this.#left },
      params: ({ rows }: Sizes) => ({ rows, depth }),
      grid: ({ rows }) => [ceilDiv(rows, 64), depth / 4 + 1, 1],
      bytes: ({ rows }) => 8 * rows * depth,
      flops: () => 0,
    });
  }

  #addGram(): AnyDispatch<Sizes> {
    return this.#add("gram", this.#model.activations.normed, this.#gram, this.#model.config.hiddenSize);
  }

  /** sum += [x̂; 1]ᵀ · b, of b [rows, columns]. */
  #add(label: string, b: GPUBuffer, sum: GPUBuffer, columns: number): AnyDispatch<Sizes> {
    const rows = this.#model.config.hiddenSize + 1;
    const shape = { rows: () => rows, depth: everyRow, columns, cStride: columns, cOffset: 0 };
    return matmul(this.#gpu, { label, a: this.#left, b, c: sum, epilogue: "add", ...shape }, this.#variant);
  }

  /** Keys and values of `layer` before head norm and RoPE: x̂_j · (W·diag(γ))ᵀ + bias, slice by slice of the weights. */
  #project(layer: number): AnyDispatch<Sizes>[] {
    const { config, weights, activations } = this.#model;
    const { matrix, vectors } = weights.layers[layer]!.qkv;
    const { D, N } = widths(this.#model);
    const slice = sliceColumns({ columns: N, depth: D }, activations.dequantised.size);
    const { bias } = this.#layers[layer - this.#first]!;
    const gamma = { vectors: vectors.buffer, at: vectors.gammaKv };
    return Array.from({ length: ceilDiv(N, slice) }, (_, i) => i * slice).flatMap((first) => {
      const columns = Math.min(slice, N - first);
      const label = `layer ${layer} keys and values`;
      const b = activations.dequantised;
      const from = config.heads * config.headWidth + first;
      const part = bias ? { buffer: bias, offset: first * 4 } : undefined;
      const shape = { rows: everyRow, depth: () => D, columns, cStride: N, cOffset: first };
      const product = { label, a: activations.normed, b, bias: part, c: this.#outputs, ...shape };
      return [
        dequantiseSlice(this.#gpu, { label, matrix, b, first: from, columns, gamma }),
        matmul(this.#gpu, { ...product, epilogue: "store" }, this.#variant),
      ];
    });
  }

  #addCross(layer: number): AnyDispatch<Sizes>[] {
    const { cross, squares } = this.#layers[layer - this.#first]!;
    const { N } = widths(this.#model);
    const add = this.#add(`layer ${layer} cross`, this.#outputs, cross, N);
    return [
      add,
      dispatch({
        kernel: square_sums,
        constants: { WG: 64 },
        label: `layer ${layer} squares`,
        buffers: { y: this.#outputs, sums: squares },
        params: ({ rows }: Sizes) => ({ rows, columns: N, slices: SLICES }),
        grid: () => [ceilDiv(N, 64), SLICES, 1],
        bytes: ({ rows }) => 4 * rows * N,
        flops: ({ rows }) => 2 * rows * N,
      }),
    ];
  }

  /** Adds what has been summed up since the last call, over `tokens` tokens, and begins anew. */
  async moveTo(sums: Sums, tokens: number): Promise<void> {
    const { D } = widths(this.#model);
    const gram = await this.#take(this.#gram);
    for (let i = 0; i <= D; i++) for (let k = 0; k < D; k++) sums.gram[i * (D + 1) + k]! += gram[i * D + k]!;
    sums.tokens += tokens;
    mirror(sums);
    for (const [i, { cross, squares }] of this.#layers.entries()) {
      const into = sums.cross[i]!;
      for (const [at, value] of (await this.#take(cross)).entries()) into[at]! += value;
      sums.squares[i]! += (await this.#take(squares)).reduce((total, value) => total + value, 0);
    }
  }

  /** The floats of a buffer, which is zero afterwards. */
  async #take(buffer: GPUBuffer): Promise<Float32Array> {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, this.#staging, 0, buffer.size);
    encoder.clearBuffer(buffer);
    this.#gpu.submit(encoder);
    await this.#gpu.map(this.#staging, buffer.size);
    const floats = new Float32Array(this.#staging.getMappedRange(0, buffer.size).slice(0));
    this.#staging.unmap();
    return floats;
  }
}

/** The last column of the gram is its last row, Σ x̂; the corner is the number of tokens. */
function mirror({ gram, tokens }: Sums): void {
  const size = Math.sqrt(gram.length);
  for (let i = 0; i < size - 1; i++) gram[i * size + size - 1] = gram[(size - 1) * size + i]!;
  gram[size * size - 1] = tokens;
}

export function emptySums({ hiddenSize: D, kvHeads, headWidth, layers }: ModelConfig, first: number): Sums {
  const cross = (): Float64Array<ArrayBuffer> => new Float64Array((D + 1) * 2 * kvHeads * headWidth);
  return {
    tokens: 0,
    gram: new Float64Array((D + 1) ** 2),
    cross: Array.from({ length: layers - first }, cross),
    squares: Array.from({ length: layers - first }, () => 0),
  };
}

/** D, N = 2·G·E and rows of a chunk. */
const widths = ({ config, spans }: ModelContext): Record<"D" | "N" | "rows", number> => ({
  D: config.hiddenSize,
  N: 2 * config.kvHeads * config.headWidth,
  rows: spans.lower.count,
});

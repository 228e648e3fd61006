// A tile of a picture to rows of the language model, as a list of dispatches: patches, the tower's layers, squares of patches,
// the projection. Letters as in docs/kernels.md; N patches.
import { ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { attn_whole, gelu, layer_norm, patch_pixels, pixel_shuffle } from "../../gpu/kernels.gen.ts";
import { encodePaced } from "../../gpu/paced.ts";
import { type AnyDispatch, dispatch, Program } from "../../gpu/program.ts";
import type { VisionConfig } from "../families/vision.ts";
import { gemm, type Linear } from "../ops/linear.ts";
import type { Sizes } from "../ops/sizes.ts";
import { using, type Variants } from "../ops/variants.ts";
import { type Matrix, packRows } from "../weights/matrix.ts";
import type { Affine, LayerNorm, VisionLayer, VisionWeights } from "./weights.ts";

type Dispatches = AnyDispatch<Sizes>[];

/** Everything is fixed when the program is built, but where its rows go. */
interface TileSizes extends Sizes {
  /** First column of the table of rows. */
  column: number;
}

const WG = 64;
/** Threads of attention's workgroups: each has a row of its own. */
const ATTENTION_WG = 64;
/** Weights dequantised to f32, at most. */
const DEQUANTISED_BYTES = 32 * 2 ** 20;

/** Buffers of one tile, all f32 but the first. */
interface TileBuffers {
  /** [side·P, side·P] u32: red, green, blue and a byte that is not read */
  pixels: GPUBuffer;
  /** [N, 3·P·P] */
  patches: GPUBuffer;
  /** [N, D]: the residual stream */
  hidden: GPUBuffer;
  /** [N, D] */
  normed: GPUBuffer;
  /** [N, 3, heads, E] */
  qkv: GPUBuffer;
  /** [N, D] */
  attended: GPUBuffer;
  /** [N, F] */
  inner: GPUBuffer;
  /** [tile tokens, squeeze²·D] */
  squares: GPUBuffer;
  /** [tile tokens, width of the language model] */
  rows: GPUBuffer;
  dequantised: GPUBuffer;
}

function makeBuffers(gpu: Gpu, config: VisionConfig, width: number): TileBuffers {
  const { hiddenSize: D, intermediateSize: F, patch, side, squeeze, tileTokens } = config;
  const N = side * side;
  const make = (label: string, floats: number) => gpu.buffer(`picture's ${label}`, floats * 4, "scratch");
  const largest = Math.max(3 * D * Math.max(D, patch * patch), D * F, width * D * squeeze * squeeze) * 4;
  return {
    pixels: make("pixels", N * patch * patch),
    patches: make("patches", N * 3 * patch * patch),
    hidden: make("residual stream", N * D),
    normed: make("normed rows", N * D),
    qkv: make("heads", 3 * N * D),
    attended: make("attended", N * D),
    inner: make("inner rows", N * F),
    squares: make("squares", N * D),
    rows: make("rows", tileTokens * width),
    dequantised: gpu.buffer("picture's weights", Math.min(DEQUANTISED_BYTES, gpu.mostBytes, largest), "scratch"),
  };
}

/** What the parts are made of. */
interface Plan {
  gpu: Gpu;
  config: VisionConfig;
  weights: VisionWeights;
  variants: Variants;
  buffers: TileBuffers;
}

export class VisionTower {
  readonly #gpu: Gpu;
  readonly #program: Program<TileSizes>;
  readonly #buffers: TileBuffers;
  readonly #positions: GPUBuffer;

  private constructor({ gpu, buffers, weights }: Plan, program: Program<TileSizes>) {
    this.#gpu = gpu;
    this.#program = program;
    this.#buffers = buffers;
    this.#positions = weights.positions;
  }

  /** `table`: [width of the language model, columns] in which a row is a column, as tokens in that of embeddings. */
  static async build(made: Omit<Plan, "buffers">, table: Matrix): Promise<VisionTower> {
    const plan = { ...made, buffers: makeBuffers(made.gpu, made.config, table.depth) };
    while (true) {
      try {
        const program = await Program.build<TileSizes>(plan.gpu, "picture", [
          ...tileDispatches(plan),
          placed(plan, table),
        ]);
        return new VisionTower(plan, program);
      } catch (error) {
        if (!plan.variants.outlasts(error)) throw error;
      }
    }
  }

  /** Puts the tile's rows into the table from `column` on: submitted, not waited for. */
  encode(pixels: Uint32Array<ArrayBuffer>, column: number): void {
    const { hidden, pixels: buffer } = this.#buffers;
    this.#gpu.write(buffer, 0, pixels);
    this.#program.prepare({ column } as TileSizes);
    const encoder = this.#gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#positions, 0, hidden, 0, hidden.size); // patches are added to their positions
    this.#gpu.submit(encodePaced(this.#gpu, encoder, [this.#program]));
  }
}

function tileDispatches(plan: Plan): Dispatches {
  const { weights, buffers } = plan;
  return [
    unfold(plan),
    ...product(plan, "patches", weights.patch, { x: buffers.patches, y: buffers.hidden, epilogue: "add" }),
    ...weights.layers.flatMap((layer, i) => layerDispatches(plan, layer, `vision layer ${i}`)),
    norm(plan, "vision norm", weights.finalNorm),
    shuffle(plan),
    ...project(plan),
  ];
}

function layerDispatches(plan: Plan, layer: VisionLayer, label: string): Dispatches {
  const { hidden, normed, qkv, attended, inner } = plan.buffers;
  return [
    norm(plan, `${label} norm`, layer.attentionNorm),
    ...product(plan, `${label} heads`, layer.qkv, { x: normed, y: qkv, epilogue: "store" }),
    attend(plan, `${label} attention`),
    ...product(plan, `${label} output`, layer.output, { x: attended, y: hidden, epilogue: "add" }),
    norm(plan, `${label} MLP norm`, layer.mlpNorm),
    ...product(plan, `${label} up`, layer.up, { x: normed, y: inner, epilogue: "store" }),
    activate(plan, `${label} GELU`),
    ...product(plan, `${label} down`, layer.down, { x: inner, y: hidden, epilogue: "add" }),
  ];
}

const patchesOf = ({ side }: VisionConfig): number => side * side;

function unfold({ config, buffers: { pixels, patches } }: Plan): AnyDispatch<Sizes> {
  const { patch: P, side, mean, deviation } = config;
  const [scaleR, scaleG, scaleB] = deviation.map((each) => 1 / each) as [number, number, number];
  const [shiftR, shiftG, shiftB] = mean.map((each, c) => -each / deviation[c]!) as [number, number, number];
  return dispatch({
    kernel: patch_pixels,
    constants: { WG, P },
    label: "unfold",
    buffers: { pixels, y: patches },
    params: () => ({ side, scaleR, scaleG, scaleB, shiftR, shiftG, shiftB }),
    grid: () => [ceilDiv(P * P, WG), side * side, 1],
    bytes: () => 16 * (side * P) ** 2,
    flops: () => 6 * (side * P) ** 2,
  });
}

function product(
  plan: Plan,
  label: string,
  { matrix, bias }: Affine,
  how: Pick<Linear, "x" | "y" | "epilogue">,
): Dispatches {
  const rows = patchesOf(plan.config);
  return wide(plan, { label, matrix, bias, ...how, rows: () => rows });
}

function wide({ gpu, variants, buffers: { normed, dequantised } }: Plan, linear: Linear): Dispatches {
  return using("gemm", variants.matmul, (variant) => gemm(gpu, linear, { normed, dequantised }, variant));
}

function norm({ gpu, config, buffers }: Plan, label: string, { weight, bias }: LayerNorm): AnyDispatch<Sizes> {
  const { hiddenSize: D, normEpsilon } = config;
  const rows = patchesOf(config);
  return dispatch({
    kernel: layer_norm,
    constants: { WG: gpu.profile.normThreads, D },
    label,
    buffers: { x: buffers.hidden, weight, bias, y: buffers.normed },
    params: () => ({ eps: normEpsilon }),
    grid: () => [rows, 1, 1],
    bytes: () => 4 * (4 * rows * D + 2 * D),
    flops: () => 8 * rows * D,
  });
}

function attend({ config, buffers: { qkv, attended } }: Plan, label: string): AnyDispatch<Sizes> {
  const { hiddenSize: D, heads: H } = config;
  const rows = patchesOf(config);
  const groups = ceilDiv(rows, ATTENTION_WG);
  return dispatch({
    kernel: attn_whole,
    constants: { WG: ATTENTION_WG, H, E: D / H },
    label,
    buffers: { qkv, out: attended },
    params: () => ({ rows, scale: 1 / Math.sqrt(D / H) }),
    grid: () => [groups, H, 1],
    bytes: () => 8 * rows * D * (1 + groups),
    flops: () => 4 * rows * rows * D,
  });
}

function activate({ config, buffers: { inner } }: Plan, label: string): AnyDispatch<Sizes> {
  const count = (patchesOf(config) * config.intermediateSize) / 4;
  return dispatch({
    kernel: gelu,
    constants: { WG },
    label,
    buffers: { x: inner },
    params: () => ({ count }),
    grid: () => [Math.min(16384, ceilDiv(count, WG)), 1, 1],
    bytes: () => 32 * count,
    flops: () => 40 * count,
  });
}

function shuffle({ config, buffers: { normed, squares } }: Plan): AnyDispatch<Sizes> {
  const { hiddenSize: D, side, squeeze: S } = config;
  return dispatch({
    kernel: pixel_shuffle,
    constants: { WG, S, D },
    label: "pixel shuffle",
    buffers: { x: normed, y: squares },
    params: () => ({ side }),
    grid: () => [ceilDiv(D / 4, WG), side * side, 1],
    bytes: () => 8 * side * side * D,
    flops: () => 0,
  });
}

function project(plan: Plan): Dispatches {
  const { config, weights, buffers } = plan;
  const { squares: x, rows: y } = buffers;
  return wide(plan, {
    label: "connector",
    matrix: weights.projection,
    x,
    y,
    epilogue: "store",
    rows: () => config.tileTokens,
  });
}

/** The rows as columns of the table, in the form of an embedding. */
function placed({ config, buffers }: Plan, table: Matrix): AnyDispatch<TileSizes> {
  const packed = packRows(table, buffers.rows, config.tileTokens, 0);
  return { ...packed, params: ({ column }) => ({ ...packed.params({}), columnOffset: column }) };
}

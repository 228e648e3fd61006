// An ordinary model on the GPU -> an undistilled SwiftKV student on the same weights. docs/swiftkv.md, "Conversion".
//
// Its new projections come from a fit (docs/recovery.md), or else from the ordinary ones:
// a later layer's keys and values came from its own norm and projection of its own input; in the student they come from
// layer K's input. The start that is closest to the teacher keeps each layer's own norm weight: it is folded into the
// projection, whose norm then has weight 1. A group's owner gets the mean over its layers.
import type { Gpu } from "../../gpu/device.ts";
import type { Bindable } from "../../gpu/kernel.ts";
import { fold } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch, Program } from "../../gpu/program.ts";
import type { Layout } from "../../kv/layout.ts";
import { layoutOf, readersOf, sameShape } from "../../kv/systems/swiftkv/layout.ts";
import type { ModelConfig } from "../config.ts";
import { vectorOffsets } from "../layer/projection.ts";
import { unpackGrid } from "../ops/linear.ts";
import type { Fit, FittedQueries, FittedStore, QkvProjection, Weights } from "../context.ts";
import { teacherOf, withProjections } from "./teacher.ts";
import { emptyMatrix, type Matrix, packHalves, packRows, pieceAt } from "../weights/matrix.ts";

/**
 * Weights of the student that `config.swiftkv` describes: `fit` where one is given, else the checkpoint's own where it was
 * trained for that shape, else a conversion of the ordinary model. New are the projections from the boundary on; the rest
 * is shared.
 */
export async function makeStudent(gpu: Gpu, config: ModelConfig, weights: Weights, fit: Fit | null): Promise<Weights> {
  const { trained } = weights;
  if (!fit && trained && sameShape(trained.swiftkv, config.swiftkv!)) {
    return { ...withProjections(weights, trained.qkv), undistilled: false, fit: null };
  }
  const { teacher } = teacherOf(weights);
  const layout = layoutOf(config.layers, config.swiftkv);
  const { boundary } = layout;
  const projection = await makeBoundary(gpu, config, { layout, teacher, fit });
  const later: QkvProjection[] = [projection];
  for (const [i, each] of teacher.slice(boundary + 1).entries())
    later.push(await makeQueries(gpu, config, each, fit?.queries?.[i + 1] ?? null));
  const projections = [...teacher.slice(0, boundary), ...later];
  return { ...withProjections(weights, projections), undistilled: !fit?.distilled, fit };
}

/** The query heads of an ordinary projection, which are its first columns; or those that were trained. */
async function makeQueries(
  gpu: Gpu,
  config: ModelConfig,
  qkv: QkvProjection,
  trained: FittedQueries | null,
): Promise<QkvProjection> {
  const columns = config.heads * config.headWidth;
  if (!trained) return { ...qkv, matrix: { ...qkv.matrix, columns }, stores: 0 };
  const { depth } = qkv.matrix;
  const matrix = emptyMatrix(gpu, "swiftkv queries", { bits: bitsOf(qkv), group: 32, columns, depth });
  const raw = gpu.buffer("trained queries", columns * depth * 2, "scratch");
  gpu.write(raw, 0, trained.weights);
  await Program.once(gpu, "trained queries", [packHalves(matrix, raw, columns, 0)]);
  gpu.release(raw);
  if (!trained.bias) return { ...qkv, matrix, stores: 0 };
  // Biases lie among the layer's other vectors: those of a copy are the student's.
  const buffer = gpu.buffer("swiftkv vectors", qkv.vectors.buffer.size, "weights");
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(qkv.vectors.buffer, 0, buffer, 0, buffer.size);
  gpu.submit(encoder);
  gpu.write(buffer, qkv.vectors.biasAt * 4, trained.bias);
  return { ...qkv, matrix, stores: 0, vectors: { ...qkv.vectors, buffer } };
}

/** Quantised projections become 8-bit: no finer are needed, no coarser would do. */
const bitsOf = ({ matrix: { bits } }: QkvProjection): Matrix["bits"] => (bits <= 8 ? 8 : bits);

/** What a student's new projection is made of. */
interface Parts {
  layout: Layout;
  teacher: readonly QkvProjection[];
  fit: Fit | null;
}

/** The boundary layer's queries, then keys and values of every store. */
async function makeBoundary(gpu: Gpu, config: ModelConfig, parts: Parts): Promise<QkvProjection> {
  const { heads: H, kvHeads: G, headWidth: E, hiddenSize: depth } = config;
  const { layout, teacher, fit } = parts;
  const { first, count } = layout.fills[layout.boundary]!;
  const boundary = teacher[layout.boundary]!;
  const bits = bitsOf(boundary);
  const width = 2 * G * E;
  const columns = H * E + count * width;
  const matrix = emptyMatrix(gpu, "swiftkv projection", { bits, group: 32, columns, depth });
  const vectors = await makeVectors(gpu, config, parts);
  const raw = gpu.buffer("folded rows", Math.max(H, 2 * G) * E * depth * 4, "scratch");
  const own = fit?.queries?.[0];
  const folded = own ? upload(gpu, own, raw) : [foldQueries(config, boundary, raw)];
  await Program.once(gpu, "student queries", [...folded, (own ? packHalves : packRows)(matrix, raw, H * E, 0)]);
  for (let i = 0; i < count; i++) {
    const store = fit?.stores[i];
    const folds = store ? upload(gpu, store, raw) : foldMembers(config, membersOf(parts, first + i), raw);
    const pack = (store ? packHalves : packRows)(matrix, raw, width, H * E + i * width);
    await Program.once(gpu, `student store ${i}`, [...folds, pack]);
  }
  gpu.release(raw);
  return { matrix, queries: H, stores: count, firstStore: first, vectors };
}

/** The ordinary projections of the layers that read a store. */
const membersOf = ({ layout, teacher }: Parts, store: number): QkvProjection[] =>
  readersOf(layout, store).map((layer) => teacher[layer]!);

function upload(gpu: Gpu, { weights }: FittedStore | FittedQueries, raw: GPUBuffer): AnyDispatch<object>[] {
  gpu.write(raw, 0, weights);
  return [];
}

/** The query heads of a projection as f32 rows [H·E, D]. */
export const foldQueries = ({ heads: H, headWidth: E }: ModelConfig, { matrix }: QkvProjection, raw: GPUBuffer) =>
  foldColumns(matrix, raw, plain(0, H * E));

/** The mean of keys' and values' projections, each with its layer's norm weight, as f32 rows [2·G·E, D]. */
export const foldMembers = (
  { heads: H, kvHeads: G, headWidth: E }: ModelConfig,
  members: readonly QkvProjection[],
  raw: GPUBuffer,
): AnyDispatch<object>[] =>
  members.map(({ matrix, vectors }, m) => {
    const part = { first: H * E, columns: 2 * G * E, weight: 1 / members.length, add: m > 0, gamma: true };
    return foldColumns(matrix, raw, { ...part, gammaAt: vectors.gammaKv }, vectors.buffer);
  });

export interface Fold {
  /** Columns of the product to take. */
  first: number;
  columns: number;
  weight: number;
  /** Add to what is there. */
  add: boolean;
  /** Multiply by the norm weight at this offset of the vectors. */
  gamma: boolean;
  gammaAt: number;
}

/** Columns as they are. */
export const plain = (first: number, columns: number): Fold => ({
  first,
  columns,
  weight: 1,
  add: false,
  gamma: false,
  gammaAt: 0,
});

/** weight · W · diag(γ) of some columns, which lie in one piece, as f32 rows. `vectors`: where γ is. */
export function foldColumns(
  matrix: Matrix,
  out: GPUBuffer,
  { first, columns, weight, add, gamma, gammaAt }: Fold,
  vectors?: Bindable,
): AnyDispatch<object> {
  const { bits, group, depth, name } = matrix;
  const piece = pieceAt(matrix, first);
  const { words, scales, stride } = piece;
  return dispatch({
    kernel: fold,
    constants: { BITS: bits, GROUP: group, GAMMA: gamma ? 1 : 0, ADD: add ? 1 : 0 },
    label: `fold ${name}`,
    buffers: { words, scales, vectors: vectors ?? words, out },
    params: () => ({ depth, columns, stride, firstColumn: first - piece.first, gammaAt, weight }),
    grid: () => unpackGrid({ depth, bits }, columns),
    bytes: () => columns * depth * (bits / 8 + 4),
    flops: () => 2 * columns * depth,
  });
}

/**
 * [the boundary layer's norm | ones | biases | norms of the heads]: the means over a store's readers where there are
 * several. A fit brings the biases of keys and values, also where the family has none.
 */
async function makeVectors(gpu: Gpu, config: ModelConfig, parts: Parts): Promise<QkvProjection["vectors"]> {
  const { heads: H, kvHeads: G, headWidth: E, hiddenSize: D, qkvBias, headNorm } = config;
  const { layout, teacher, fit } = parts;
  const { first, count } = layout.fills[layout.boundary]!;
  const biased = qkvBias || fit !== null;
  const { length, ...offsets } = vectorOffsets(config, { queries: H, stores: count, gammas: 2, biased });
  const buffer = gpu.buffer("swiftkv vectors", length * 4, "weights");
  const mean = (members: readonly QkvProjection[], from: (qkv: QkvProjection) => number, count: number, to: number) =>
    meanVector(gpu, members, { from, count, to }, buffer);
  const boundary = teacher[layout.boundary]!;
  await mean([boundary], ({ vectors }) => vectors.gammaQ, D, offsets.gammaQ);
  gpu.write(buffer, offsets.gammaKv * 4, new Float32Array(D).fill(1));
  const own = fit?.queries?.[0]?.bias;
  if (own) gpu.write(buffer, offsets.biasAt * 4, own);
  else if (qkvBias) await mean([boundary], ({ vectors }) => vectors.biasAt, H * E, offsets.biasAt);
  if (headNorm) await mean([boundary], ({ vectors }) => vectors.queryNormAt, E, offsets.queryNormAt);
  for (let i = 0; i < count; i++) {
    const members = membersOf(parts, first + i);
    const width = 2 * G * E;
    const to = offsets.biasAt + H * E + i * width;
    if (fit) gpu.write(buffer, to * 4, fit.stores[i]!.bias);
    else if (qkvBias) await mean(members, ({ vectors }) => vectors.biasAt + H * E, width, to);
    if (headNorm) await mean(members, ({ vectors }) => vectors.keyNormAt, E, offsets.keyNormAt + i * E);
  }
  return { ...offsets, buffer };
}

/** Mean over `members` of `count` floats at `from`, a multiple of 4, written to `to`: a vector is a matrix of one column. */
async function meanVector(
  gpu: Gpu,
  members: readonly QkvProjection[],
  { from, count, to }: { from: (qkv: QkvProjection) => number; count: number; to: number },
  target: GPUBuffer,
): Promise<void> {
  const out = gpu.buffer("folded vector", count * 4, "scratch");
  const folds = members.map((qkv, i) => {
    const { buffer } = qkv.vectors;
    const pieces = [{ first: 0, stride: 1, words: buffer, scales: gpu.unused }];
    const matrix: Matrix = { name: "vector", bits: 32, group: 32, columns: 1, depth: count, pieces };
    const whole = {
      first: from(qkv) / 4,
      columns: 1,
      weight: 1 / members.length,
      add: i > 0,
      gamma: false,
      gammaAt: 0,
    };
    return foldColumns(matrix, out, whole);
  });
  await Program.once(gpu, "mean vector", folds);
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(out, 0, target, to * 4, count * 4);
  gpu.submit(encoder);
  gpu.release(out);
}

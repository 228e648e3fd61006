// An ordinary model on the GPU -> an undistilled SwiftKV student on the same weights. docs/swiftkv.md, "Conversion".
//
// A later layer's keys and values came from its own norm and projection of its own input; in the student they come from
// layer K's input. The start that is closest to the teacher keeps each layer's own norm weight: it is folded into the
// projection, whose norm then has weight 1. A group's owner gets the mean over its layers.
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { fold } from "../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch, Program } from "../gpu/program.ts";
import { type ModelConfig, sameShape } from "./config.ts";
import { ownersOf, vectorOffsets } from "./heads.ts";
import { unpackGrid } from "./ops.ts";
import type { Heads, Weights } from "./parts.ts";
import { emptyMatrix, type Matrix, packRows, type Vector } from "./weights.ts";

/** The same weights with the ordinary heads of every layer. Throws InputError where they were not kept. */
export function teacherOf(weights: Weights): Weights & { teacher: readonly Heads[] } {
  const { teacher } = weights;
  if (!teacher) {
    throw new InputError(
      "convert: this SwiftKV model was loaded without its ordinary projections; got none, want those of every layer. Load it with { teacher: true }.",
    );
  }
  return { ...withHeads(weights, teacher), teacher, undistilled: false };
}

const withHeads = (weights: Weights, heads: readonly Heads[]): Weights => ({
  ...weights,
  layers: weights.layers.map((layer, i) => ({ ...layer, heads: heads[i]! })),
});

/**
 * Weights of the student that `config.swiftkv` describes: the checkpoint's own where it was trained for that shape, else
 * a conversion of the ordinary model. New are the heads of layers from K on; the rest is shared.
 */
export async function makeStudent(gpu: Gpu, config: ModelConfig, weights: Weights): Promise<Weights> {
  const { layers: own } = config.swiftkv!;
  const { trained } = weights;
  if (trained && sameShape(trained.swiftkv, config.swiftkv!)) {
    return { ...withHeads(weights, trained.heads), undistilled: false };
  }
  const { teacher } = teacherOf(weights);
  const boundary = await makeBoundary(gpu, config, teacher);
  const heads = teacher.map((each, i) => (i < own ? each : i === own ? boundary : queriesOf(config, each)));
  return { ...withHeads(weights, heads), undistilled: true };
}

/** The query heads of an ordinary product: they are its first columns. */
const queriesOf = ({ heads: H, headWidth: E }: ModelConfig, heads: Heads): Heads => ({
  ...heads,
  matrix: { ...heads.matrix, columns: H * E },
  stores: 0,
});

/** What the products of layer K and of every group are folded into. Quantised ones become 8-bit: no finer are needed, no coarser would do. */
async function makeBoundary(gpu: Gpu, config: ModelConfig, teacher: readonly Heads[]): Promise<Heads> {
  const { heads: H, kvHeads: G, headWidth: E, hiddenSize: depth } = config;
  const { layers: own, group } = config.swiftkv!;
  const owners = ownersOf(config);
  const columns = (H + 2 * owners.length * G) * E;
  const source = teacher[own]!.matrix;
  const bits = source.bits <= 8 ? 8 : source.bits;
  const matrix = emptyMatrix(gpu, "swiftkv heads", { bits, group: 32, columns, depth });
  const vectors = await makeVectors(gpu, config, teacher);
  const raw = gpu.buffer("folded rows", Math.max(H, 2 * G) * E * depth * 4, "scratch");
  const take = (member: Heads, part: Omit<Fold, "gammaAt">) =>
    foldColumns(member.matrix, member.vectors.buffer, { ...part, gammaAt: member.vectors.gammaKv }, raw);
  const queries = take(teacher[own]!, { first: 0, columns: H * E, weight: 1, add: false, gamma: false });
  await Program.once(gpu, "student queries", [queries, packRows(matrix, raw, H * E, 0)]);
  const width = 2 * G * E;
  for (const [store, owner] of owners.entries()) {
    const members = teacher.slice(owner, owner + group);
    const folds = members.map((member, i) =>
      take(member, { first: H * E, columns: width, weight: 1 / group, add: i > 0, gamma: true }),
    );
    await Program.once(gpu, `student store ${store}`, [...folds, packRows(matrix, raw, width, H * E + store * width)]);
  }
  gpu.release(raw);
  return { matrix, queries: H, stores: owners.length, firstStore: own, vectors };
}

interface Fold {
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

/** weight · W · diag(γ) of some columns as f32 rows. */
function foldColumns(
  { words, scales, bits, group, depth, stride, name }: Matrix,
  vectors: Vector,
  { first, columns, weight, add, gamma, gammaAt }: Fold,
  out: GPUBuffer,
): AnyDispatch<object> {
  return dispatch({
    kernel: fold,
    constants: { BITS: bits, GROUP: group, GAMMA: gamma ? 1 : 0, ADD: add ? 1 : 0 },
    label: `fold ${name}`,
    buffers: { words, scales, vectors, out },
    params: () => ({ depth, columns, stride, firstColumn: first, gammaAt, weight }),
    grid: () => unpackGrid({ depth, bits }, columns),
    bytes: () => columns * depth * (bits / 8 + 4),
    flops: () => 2 * columns * depth,
  });
}

/** [layer K's norm | ones | biases | norms of the heads]: the means over a group where there are several. */
async function makeVectors(gpu: Gpu, config: ModelConfig, teacher: readonly Heads[]): Promise<Heads["vectors"]> {
  const { heads: H, kvHeads: G, headWidth: E, hiddenSize: D, qkvBias, headNorm } = config;
  const { layers: own, group } = config.swiftkv!;
  const owners = ownersOf(config);
  const { length, ...offsets } = vectorOffsets(config, { queries: H, stores: owners.length, gammas: 2 });
  const buffer = gpu.buffer("swiftkv vectors", length * 4, "weights");
  const mean = (members: readonly Heads[], from: (heads: Heads) => number, count: number, to: number) =>
    meanVector(gpu, members, { from, count, to }, buffer);
  const boundary = teacher[own]!;
  await mean([boundary], ({ vectors }) => vectors.gammaQ, D, offsets.gammaQ);
  gpu.write(buffer, offsets.gammaKv * 4, new Float32Array(D).fill(1));
  if (qkvBias) await mean([boundary], ({ vectors }) => vectors.biasAt, H * E, offsets.biasAt);
  if (headNorm) await mean([boundary], ({ vectors }) => vectors.queryNormAt, E, offsets.queryNormAt);
  for (const [store, owner] of owners.entries()) {
    const members = teacher.slice(owner, owner + group);
    const width = 2 * G * E;
    if (qkvBias) {
      const to = offsets.biasAt + H * E + store * width;
      await mean(members, ({ vectors }) => vectors.biasAt + H * E, width, to);
    }
    if (headNorm) await mean(members, ({ vectors }) => vectors.keyNormAt, E, offsets.keyNormAt + store * E);
  }
  return { ...offsets, buffer };
}

/** Mean over `members` of `count` floats at `from`, a multiple of 4, written to `to`: a vector is a matrix of one column. */
async function meanVector(
  gpu: Gpu,
  members: readonly Heads[],
  { from, count, to }: { from: (heads: Heads) => number; count: number; to: number },
  target: GPUBuffer,
): Promise<void> {
  const out = gpu.buffer("folded vector", count * 4, "scratch");
  const folds = members.map((heads, i) => {
    const { buffer } = heads.vectors;
    const flat = { name: "vector", bits: 32, group: 32, columns: 1, depth: count, stride: 1 } as const;
    const matrix: Matrix = { ...flat, words: buffer, scales: gpu.unused };
    const part = {
      first: from(heads) / 4,
      columns: 1,
      weight: 1 / members.length,
      add: i > 0,
      gamma: false,
      gammaAt: 0,
    };
    return foldColumns(matrix, gpu.unused, part, out);
  });
  await Program.once(gpu, "mean vector", folds);
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(out, 0, target, to * 4, count * 4);
  gpu.submit(encoder);
  gpu.release(out);
}

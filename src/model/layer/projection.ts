// A layer's projection to queries, keys and values: which tensors it is made of, and how their rows and vectors lie.
import { type Layout, ordinaryLayout } from "../../kv/layout.ts";
import type { ModelConfig } from "../config.ts";
import type { HeadVectors, QkvProjection } from "../context.ts";
import { type HeadForm, placeHeads } from "../weights/heads.ts";
import type { MatrixPart, VectorPart, WeightLoader } from "../weights/loader.ts";

/** A layer's projection as an ordinary model has it. */
export const nameOrdinaryQkv = (loader: WeightLoader, config: ModelConfig, layer: number): QkvProjection =>
  nameQkv(loader, config, ordinaryLayout(config.layers), layer);

/** A layer's projection: its queries, then keys and values of the stores that it fills. */
export function nameQkv(loader: WeightLoader, config: ModelConfig, layout: Layout, layer: number): QkvProjection {
  const { first, count } = layout.fills[layer]!;
  const past = layer >= layout.boundary;
  const heads = headTensors(config, layer, layout.owners.slice(first, first + count), past ? "_swiftkv" : "");
  const gammas = config.norms === "after" ? [] : [inputNorm(config, layer)];
  if (past && count > 0) gammas.push(normPart(config, "model.norm_swiftkv.weight"));
  const biases = config.qkvBias ? heads.map(biasPart) : [];
  const headNorms = headNormParts(config, layer, layout.owners.slice(first, first + count));
  const shape = { queries: config.heads, stores: count, gammas: gammas.length, biased: config.qkvBias };
  return {
    matrix: loader.stacked(heads, config.hiddenSize),
    queries: config.heads,
    stores: count,
    firstStore: first,
    vectors: { ...vectorOffsets(config, shape), buffer: loader.joined([...gammas, ...biases, ...headNorms]) },
  };
}

const attentionOf = (layer: number): string => `model.layers.${layer}.self_attn`;

/** Queries of a layer, then keys and values of `owners`, store after store. */
function headTensors(
  { heads: H, kvHeads: G, fileHeadWidth, headWidth, turnedWidth }: ModelConfig,
  layer: number,
  owners: readonly number[],
  suffix: string,
): (MatrixPart & { heads: HeadForm })[] {
  const part = (of: number, kind: "q" | "k" | "v") => ({
    name: `${attentionOf(of)}.${kind}_proj${suffix}.weight`,
    rows: (kind === "q" ? H : G) * fileHeadWidth,
    heads: { fileWidth: fileHeadWidth, width: headWidth, turned: kind === "v" ? fileHeadWidth : turnedWidth },
  });
  return [part(layer, "q"), ...owners.flatMap((owner) => [part(owner, "k"), part(owner, "v")])];
}

const biasPart = ({ name, rows, heads }: MatrixPart & { heads: HeadForm }): VectorPart => ({
  name: name.replace(/weight$/, "bias"),
  length: rows,
  kept: (rows / heads.fileWidth) * heads.width,
  as: (values) => placeHeads(values, heads),
});

/** Weights of a norm over the residual stream. */
export const normPart = (
  { hiddenSize: D, normOffset }: ModelConfig,
  name: string,
): VectorPart & Required<Pick<VectorPart, "as">> => ({
  name,
  length: D,
  as: (values) => values.map((value) => value + normOffset),
});

const inputNorm = (config: ModelConfig, layer: number): VectorPart =>
  normPart(config, `model.layers.${layer}.input_layernorm.weight`);

/** Weights of the norms of queries and keys: of one head, or of all heads of a kind together. */
function headNormParts(config: ModelConfig, layer: number, owners: readonly number[]): VectorPart[] {
  if (!config.headNorm && !config.allHeadsNorm) return [];
  const part = (of: number, kind: "q" | "k") => normOfHeads(config, `${attentionOf(of)}.${kind}_norm.weight`, kind);
  return [part(layer, "q"), ...owners.map((owner) => part(owner, "k"))];
}

/** The norm of one padded head divides by more channels than there are: its weights make up for it, `headEpsilon` too. */
function normOfHeads(config: ModelConfig, name: string, kind: "q" | "k"): VectorPart {
  const { fileHeadWidth: fileWidth, headWidth: width, turnedWidth: turned, normOffset } = config;
  const heads = config.headNorm ? 1 : kind === "q" ? config.heads : config.kvHeads;
  const factor = config.headNorm ? Math.sqrt(fileWidth / width) : 1;
  const weighed = (value: number): number => factor * (value + normOffset);
  return {
    name,
    length: heads * fileWidth,
    kept: heads * width,
    as: (values) => placeHeads(values.map(weighed), { fileWidth, width, turned }),
  };
}

/** Order of the vectors in their buffer: norms before the product, biases, norms of the heads. Offsets in floats. */
export function vectorOffsets(
  { hiddenSize: D, heads: H, kvHeads: G, headWidth: E, headNorm, allHeadsNorm }: ModelConfig,
  { queries, stores, gammas, biased }: { queries: number; stores: number; gammas: number; biased: boolean },
): Omit<HeadVectors, "buffer"> & { length: number } {
  const columns = (queries + 2 * stores * G) * E;
  const biasAt = gammas * D;
  const queryNormAt = biasAt + (biased ? columns : 0);
  const keyNormAt = queryNormAt + (headNorm ? E : allHeadsNorm ? H * E : 0);
  const length = keyNormAt + stores * (headNorm ? E : allHeadsNorm ? G * E : 0);
  return { gammaQ: 0, gammaKv: Math.max(0, gammas - 1) * D, biased, biasAt, queryNormAt, keyNormAt, length };
}

// The weights of a vision tower and its connector, by their names in a checkpoint.
import type { VisionConfig } from "../families/vision.ts";
import type { WeightLoader } from "../weights/loader.ts";
import type { Matrix, Vector } from "../weights/matrix.ts";

/** Weight and bias of a norm. */
export interface LayerNorm {
  weight: Vector;
  bias: Vector;
}

/** y = Wx + b */
export interface Affine {
  matrix: Matrix;
  bias: Vector;
}

export interface VisionLayer {
  attentionNorm: LayerNorm;
  /** [3·D, D] */
  qkv: Affine;
  output: Affine;
  mlpNorm: LayerNorm;
  up: Affine;
  down: Affine;
}

export interface VisionWeights {
  /** [D, 3·P·P] */
  patch: Affine;
  /** [patches, D] */
  positions: Vector;
  layers: readonly VisionLayer[];
  finalNorm: LayerNorm;
  /** [width of the language model, D·squeeze²] */
  projection: Matrix;
}

const TOWER = "model.vision_model";

/** Names them; the loader fetches them with the others. `width`: of the language model. */
export function nameVision(loader: WeightLoader, config: VisionConfig, width: number): VisionWeights {
  const { hiddenSize: D, intermediateSize: F, patch, side, squeeze } = config;
  const vector = (name: string, length: number) => loader.vector([name], [length]);
  const norm = (name: string) => ({ weight: vector(`${name}.weight`, D), bias: vector(`${name}.bias`, D) });
  const affine = (names: readonly string[], rows: number, depth: number): Affine => ({
    matrix: loader.stacked(
      names.map((name) => ({ name: `${name}.weight`, rows })),
      depth,
    ),
    bias: loader.vector(
      names.map((name) => `${name}.bias`),
      names.map(() => rows),
    ),
  });
  const embeddings = `${TOWER}.embeddings`;
  const patchShape = [D, 3, patch, patch];
  const patchName = `${embeddings}.patch_embedding`;
  const positions = { name: `${embeddings}.position_embedding.weight`, length: side * side * D };
  return {
    patch: {
      matrix: loader.stacked([{ name: `${patchName}.weight`, rows: D, shape: patchShape }], 3 * patch * patch),
      bias: vector(`${patchName}.bias`, D),
    },
    positions: loader.joined([{ ...positions, shape: [side * side, D] }]),
    layers: Array.from({ length: config.layers }, (_, layer) => {
      const at = `${TOWER}.encoder.layers.${layer}`;
      const attention = `${at}.self_attn`;
      return {
        attentionNorm: norm(`${at}.layer_norm1`),
        qkv: affine([`${attention}.q_proj`, `${attention}.k_proj`, `${attention}.v_proj`], D, D),
        output: affine([`${attention}.out_proj`], D, D),
        mlpNorm: norm(`${at}.layer_norm2`),
        up: affine([`${at}.mlp.fc1`], F, D),
        down: affine([`${at}.mlp.fc2`], D, F),
      };
    }),
    finalNorm: norm(`${TOWER}.post_layernorm`),
    projection: loader.stacked(
      [{ name: "model.connector.modality_projection.proj.weight", rows: width }],
      D * squeeze * squeeze,
    ),
  };
}

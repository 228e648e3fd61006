// The shape with which the run itself is tried.
import type { ModelShape } from "../shapes/shapes.ts";

export const TOY: ModelShape = {
  name: "toy",
  architecture: "llama",
  hiddenSize: 64,
  intermediateSize: 128,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headWidth: 32,
  vocabulary: 512,
  ropeBase: 10000,
};

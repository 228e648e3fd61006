// A product of a layer of SmolLM2-135M, without a GPU: what dispatches are made of.
import type { ModelConfig } from "../../src/model/config.ts";
import type { Linear } from "../../src/model/ops/linear.ts";

export const config = { heads: 9, kvHeads: 3, headWidth: 64, hiddenSize: 576, intermediateSize: 1536 } as ModelConfig;
export const buffer = { size: 2 ** 25 } as GPUBuffer;

/** Gate and up of SmolLM2-135M. */
export const linear: Linear = {
  label: "gate·up",
  matrix: {
    name: "gate·up",
    bits: 4,
    group: 32,
    columns: 3072,
    depth: 576,
    pieces: [{ first: 0, stride: 3072, words: buffer, scales: buffer }],
  },
  x: buffer,
  y: buffer,
  norm: { weight: buffer, epsilon: 1e-5 },
  epilogue: "swiglu",
  rows: (s) => s.rows,
};

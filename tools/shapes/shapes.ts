// Shapes of published models, for programs that need their sizes and not their answers: prediction, and speed on a GPU machine
// without a network. The figures are those of each model's config.json.

export interface ModelShape {
  name: string;
  /** As GGUF files call it; with qwen2 queries, keys and values have biases, with qwen3 heads of queries and keys have norms. */
  architecture: "llama" | "qwen2" | "qwen3";
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headWidth: number;
  vocabulary: number;
  ropeBase: number;
}

/** All of them have tied embeddings. */
export const SHAPES: readonly ModelShape[] = [
  {
    name: "smollm2-135m",
    architecture: "llama",
    hiddenSize: 576,
    intermediateSize: 1536,
    layers: 30,
    heads: 9,
    kvHeads: 3,
    headWidth: 64,
    vocabulary: 49152,
    ropeBase: 100000,
  },
  {
    name: "qwen2.5-0.5b",
    architecture: "qwen2",
    hiddenSize: 896,
    intermediateSize: 4864,
    layers: 24,
    heads: 14,
    kvHeads: 2,
    headWidth: 64,
    vocabulary: 151936,
    ropeBase: 1000000,
  },
  {
    name: "qwen3-0.6b",
    architecture: "qwen3",
    hiddenSize: 1024,
    intermediateSize: 3072,
    layers: 28,
    heads: 16,
    kvHeads: 8,
    headWidth: 128,
    vocabulary: 151936,
    ropeBase: 1000000,
  },
  {
    name: "llama-3.2-1b",
    architecture: "llama",
    hiddenSize: 2048,
    intermediateSize: 8192,
    layers: 16,
    heads: 32,
    kvHeads: 8,
    headWidth: 64,
    vocabulary: 128256,
    ropeBase: 500000,
  },
  {
    name: "llama-3.2-3b",
    architecture: "llama",
    hiddenSize: 3072,
    intermediateSize: 8192,
    layers: 28,
    heads: 24,
    kvHeads: 8,
    headWidth: 128,
    vocabulary: 128256,
    ropeBase: 500000,
  },
];

/** The shape of that name; null where it is none of these. */
export const shapeNamed = (name: string): ModelShape | null => SHAPES.find((shape) => shape.name === name) ?? null;

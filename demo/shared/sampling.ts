// How replies are sampled where the user says nothing: one table for the page and the command line.

import type { ModelInfo, Sampling } from "../../src/index.ts";

/**
 * What the authors recommend in the model's card, by name: a GGUF has no generation_config.json to say it, and some
 * checkpoints leave it out.
 */
const CARDS: readonly (readonly [RegExp, Sampling])[] = [
  // The card says 0.2 for all sizes. The smallest then begins its answer to "What is the capital of France?" in French more
  // often than not: its first tokens "The" and "L'" have log-probabilities of -1.88 and -1.97. Greedy, it answers rightly.
  [/smollm2-135m/i, { temperature: 0 }],
  [/smollm2/i, { temperature: 0.2, topP: 0.9 }],
  [/smollm3/i, { temperature: 0.6, topP: 0.95 }],
  [/qwen3/i, { temperature: 0.6, topP: 0.95, topK: 20 }],
  [/qwen2/i, { temperature: 0.7, topP: 0.8, topK: 20, repetitionPenalty: 1.05 }],
  [/llama-?3/i, { temperature: 0.6, topP: 0.9 }],
  [/tinyllama/i, { temperature: 0.7, topP: 0.95, topK: 50 }],
  [/gemma-?3/i, { temperature: 1, topP: 0.95, topK: 64 }],
  [/ministral|mistral/i, { temperature: 0.3, topP: 0.95 }],
  [/fable/i, { temperature: 0.7, topP: 0.9 }],
];

/** For any other model: little chance, because small models lose the thread; some, because greedy ones repeat themselves. */
const OTHERS: Sampling = { temperature: 0.5, topP: 0.9 };

/** What the files recommend, else the card, else a cautious setting. */
export function samplingFor({ name, sampling }: Pick<ModelInfo, "name" | "sampling">): Sampling {
  if (sampling.temperature) return sampling;
  return CARDS.find(([pattern]) => pattern.test(name))?.[1] ?? OTHERS;
}

// Sampling options as a caller gives them, and as the model needs them.
import type { Sampling } from "../api.ts";
import { InputError } from "../errors.ts";
import type { RowSampling } from "../model/model.ts";

const MOST_BIASES = 64;

/** Every field set and checked. Throws InputError naming the option. */
export function completeSampling(options: Sampling): RowSampling {
  const number = (name: keyof Sampling, fallback: number, low: number, high: number): number => {
    const value = (options[name] as number | undefined) ?? fallback;
    if (typeof value !== "number" || !(value >= low && value <= high)) {
      throw new InputError(`${name}: got ${value}, want a number from ${low} to ${high}.`);
    }
    return value;
  };
  const logitBias = Object.entries(options.logitBias ?? {}).map(([id, bias]) => [Number(id), Number(bias)] as const);
  if (
    logitBias.length > MOST_BIASES ||
    logitBias.some(([id, bias]) => !Number.isInteger(id) || id < 0 || !Number.isFinite(bias))
  ) {
    throw new InputError(
      `logitBias: got ${logitBias.length} entries, want at most ${MOST_BIASES} of token id → finite number.`,
    );
  }
  return {
    temperature: number("temperature", 0, 0, 100),
    topK: Math.floor(number("topK", 0, 0, 2 ** 24)),
    topP: number("topP", 1, 0, 1),
    minP: number("minP", 0, 0, 1),
    repetitionPenalty: number("repetitionPenalty", 1, 0.01, 100),
    frequencyPenalty: number("frequencyPenalty", 0, -100, 100),
    presencePenalty: number("presencePenalty", 0, -100, 100),
    logitBias,
    seed: Math.floor(number("seed", Math.floor(Math.random() * 2 ** 32), 0, 2 ** 32 - 1)),
  };
}

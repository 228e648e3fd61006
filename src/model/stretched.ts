// Rotations whose frequencies are scaled one by one, so that texts may be longer than those the model was trained on first:
// Llama 3's, yarn, longrope. Read from config.json, and what they make of a frequency. Fetched for models that have one.
import { UnsupportedError } from "../errors.ts";
import type { Reader } from "./reader.ts";

/** Frequencies are scaled one by one. */
export type Stretched =
  | { kind: "llama3"; factor: number; lowFrequency: number; highFrequency: number; originalContext: number }
  /** `attention`: what (cos, sin) are multiplied by, which scales the logits by its square. */
  | { kind: "yarn"; factor: number; turns: Turns; originalContext: number; attention: number }
  /** Divisors per frequency: `long` where the cache has room for more tokens than the original context. */
  | { kind: "longrope"; short: readonly number[]; long: readonly number[]; originalContext: number; attention: number };

/** Frequencies that turn more often than `fast` within the original context are kept, those below `slow` are stretched. */
interface Turns {
  fast: number;
  slow: number;
  /** The ramp between begins and ends at whole frequencies. */
  whole: boolean;
}

/** Divisors per frequency of longrope, as tensors of a GGUF have them. */
export interface LongTensors {
  short?: readonly number[];
  long?: readonly number[];
}

/** The scaling of this kind. Throws UnsupportedError where there is none. */
export function readStretched(
  kind: string,
  config: Reader,
  scaling: Reader,
  { turned, tensors }: { turned: number; tensors: LongTensors },
): Stretched {
  if (kind === "yarn") return yarnOf(config, scaling);
  if (kind === "longrope" || kind === "su") return longropeOf(config, scaling, turned, tensors);
  if (kind === "llama3") return llama3Of(config, scaling);
  throw new UnsupportedError(
    `config.json: rope type "${kind}" is not supported; want default, linear, dynamic, yarn, longrope or llama3.`,
  );
}

/** The context before it was stretched: beside the scaling, as in Phi-3, or in it. */
function originalContextOf(config: Reader, scaling: Reader): number {
  const name = "original_max_position_embeddings";
  const source = config.has(name) ? config : scaling;
  return source.positive(name, config.positive("max_position_embeddings", 2048));
}

const llama3Of = (config: Reader, scaling: Reader): Stretched => ({
  kind: "llama3",
  factor: scaling.positive("factor"),
  lowFrequency: scaling.positive("low_freq_factor"),
  highFrequency: scaling.positive("high_freq_factor"),
  originalContext: originalContextOf(config, scaling),
});

/** Ding et al., arXiv 2402.13753. */
function longropeOf(config: Reader, scaling: Reader, turned: number, tensors: LongTensors): Stretched {
  const originalContext = originalContextOf(config, scaling);
  const factor = scaling.positive("factor", config.positive("max_position_embeddings", 2048) / originalContext);
  const attention = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContext));
  return {
    kind: "longrope",
    short: tensors.short ?? scaling.positives("short_factor", turned / 2),
    long: tensors.long ?? scaling.positives("long_factor", turned / 2),
    originalContext,
    attention: scaling.positive("attention_factor", attention),
  };
}

/** Peng et al., arXiv 2309.00071. Defaults as in transformers. */
function yarnOf(config: Reader, scaling: Reader): Stretched {
  const originalContext = originalContextOf(config, scaling);
  const factor = scaling.positive("factor");
  return {
    kind: "yarn",
    factor,
    originalContext,
    turns: {
      fast: scaling.positive("beta_fast", 32),
      slow: scaling.positive("beta_slow", 1),
      whole: scaling.flag("truncate", true),
    },
    attention: scaling.positive("attention_factor", yarnAttention(factor, scaling)),
  };
}

/** Longer texts have flatter attention: the logits are sharpened with the logarithm of the factor. */
function yarnAttention(factor: number, scaling: Reader): number {
  const of = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  if (!scaling.has("mscale") || !scaling.has("mscale_all_dim")) return of(1);
  return of(scaling.positive("mscale")) / of(scaling.positive("mscale_all_dim"));
}

/** Frequency `i` of a text: `base` as it is without scaling. */
export function stretchedFrequency(
  base: number,
  i: number,
  scaling: Stretched,
  { theta, turned, context }: { theta: number; turned: number; context: number },
): number {
  if (scaling.kind === "llama3") return llama3Frequency(base, scaling);
  if (scaling.kind === "yarn") return base * yarnShare(i, turned, theta, scaling);
  return base / (isLong(scaling, context) ? scaling.long : scaling.short)[i]!;
}

/** Decided once, by the context: keys that are cached cannot change when a text grows beyond the original context. */
const isLong = ({ originalContext }: Stretched & { kind: "longrope" }, context: number): boolean =>
  context > originalContext;

/** Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, a linear ramp between. */
function llama3Frequency(base: number, scaling: Stretched & { kind: "llama3" }): number {
  const turns = (scaling.originalContext * base) / (2 * Math.PI);
  if (turns < scaling.lowFrequency) return base / scaling.factor;
  if (turns > scaling.highFrequency) return base;
  const ramp = (turns - scaling.lowFrequency) / (scaling.highFrequency - scaling.lowFrequency);
  return base * ((1 - ramp) / scaling.factor + ramp);
}

/** Yarn: what is left of frequency `i`: 1 for fast ones, 1/factor for slow ones, a linear ramp over the index between. */
function yarnShare(i: number, width: number, theta: number, scaling: Stretched & { kind: "yarn" }): number {
  const { turns, originalContext, factor } = scaling;
  const indexOf = (count: number): number =>
    (width * Math.log(originalContext / (count * 2 * Math.PI))) / (2 * Math.log(theta));
  const ends = [indexOf(turns.fast), indexOf(turns.slow)] as const;
  const [from, to] = turns.whole ? [Math.floor(ends[0]), Math.ceil(ends[1])] : ends;
  const [low, high] = [Math.max(from, 0), Math.min(to, width - 1)];
  const slow = Math.min(1, Math.max(0, (i - low) / (low === high ? 0.001 : high - low)));
  return 1 - slow + slow / factor;
}

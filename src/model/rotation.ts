// How queries and keys of a layer are turned by their position, as config.json says it.
import { UnsupportedError } from "../errors.ts";
import type { Reader } from "./reader.ts";

export type RopeScaling =
  | { kind: "default" }
  /** No layer of this rotation turns anything. */
  | { kind: "still" }
  | { kind: "linear"; factor: number }
  | { kind: "llama3"; factor: number; lowFrequency: number; highFrequency: number; originalContext: number }
  /** `attention`: what (cos, sin) are multiplied by, which scales the logits by its square. */
  | { kind: "yarn"; factor: number; turns: Turns; originalContext: number; attention: number }
  /** Divisors per frequency: `long` where the cache has room for more tokens than the original context. */
  | { kind: "longrope"; short: readonly number[]; long: readonly number[]; originalContext: number; attention: number }
  /** Divisors per frequency, as a GGUF file carries them. */
  | { kind: "divisors"; divisors: readonly number[] };

/** Frequencies that turn more often than `fast` within the original context are kept, those below `slow` are stretched. */
interface Turns {
  fast: number;
  slow: number;
  /** The ramp between begins and ends at whole frequencies. */
  whole: boolean;
}

export interface Rotation {
  theta: number;
  scaling: RopeScaling;
  /** Queries at position p are multiplied by 1 + growth · ln(1 + ⌊p / originalContext⌋). */
  queries: { growth: number; originalContext: number } | null;
}

/** Divisors per frequency that lie in tensors of a GGUF. */
export interface RopeTensors {
  freqs?: readonly number[];
  short?: readonly number[];
  long?: readonly number[];
}

/** Channels of a head that are turned, the first ones; `width`: of all. */
export function turnedWidth(config: Reader, width: number): number {
  const parameters = scalingOf(config);
  const source = parameters.has("partial_rotary_factor") ? parameters : config;
  const share = source.positive("partial_rotary_factor", 1);
  const turned = Math.floor(width * share + 1e-6); // 0.7 of 20 may come out below 14
  if (share > 1 || turned % 2 !== 0 || turned === 0)
    throw new UnsupportedError(
      `config.json: partial_rotary_factor; got ${share} of heads of ${width}, want an even number of channels up to all.`,
    );
  return turned;
}

/** Both spellings: rope_theta + rope_scaling, and rope_parameters (transformers 5). */
const scalingOf = (config: Reader): Reader =>
  config.object(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");

/** The rotation of a model whose layers all have the same. `turned`: channels of a head that are turned. */
export function readRotation(config: Reader, turned: number, tensors: RopeTensors): Rotation {
  const scaling = scalingOf(config);
  const inner = config.has("rope_parameters") && scaling.has("rope_theta");
  return readScaling(config, scaling, {
    theta: (inner ? scaling : config).positive("rope_theta", 10000),
    turned,
    tensors,
  });
}

/** The rotation that an object of scaling fields describes. */
export function readScaling(
  config: Reader,
  scaling: Reader,
  { theta, turned, tensors }: { theta: number; turned: number; tensors: RopeTensors },
): Rotation {
  const plain = { theta, queries: queryGrowth(scaling) };
  if (tensors.freqs) return { ...plain, scaling: { kind: "divisors", divisors: tensors.freqs } };
  const kind = scaling.has("rope_type") ? scaling.text("rope_type", "default") : scaling.text("type", "default");
  if (kind === "default") return { ...plain, scaling: { kind } };
  if (kind === "linear") return { ...plain, scaling: { kind, factor: scaling.positive("factor") } };
  // Stretches with the length of the text, from the trained length on; below it is none at all.
  if (kind === "dynamic") return { ...plain, scaling: { kind: "default" } };
  if (kind === "yarn") return { ...plain, scaling: yarnOf(config, scaling) };
  if (kind === "longrope" || kind === "su") return { ...plain, scaling: longropeOf(config, scaling, turned, tensors) };
  if (kind === "llama3") return { ...plain, scaling: llama3Of(config, scaling) };
  throw new UnsupportedError(
    `config.json: rope type "${kind}" is not supported; want default, linear, dynamic, yarn, longrope or llama3.`,
  );
}

/** Llama 4's sharper attention over long texts, which Ministral 3 took over. */
function queryGrowth(scaling: Reader): Rotation["queries"] {
  const growth = scaling.number("llama_4_scaling_beta", 0);
  return growth === 0 ? null : { growth, originalContext: scaling.positive("original_max_position_embeddings") };
}

/** The context before it was stretched: beside the scaling, as in Phi-3, or in it. */
function originalContextOf(config: Reader, scaling: Reader): number {
  const name = "original_max_position_embeddings";
  const source = config.has(name) ? config : scaling;
  return source.positive(name, config.positive("max_position_embeddings", 2048));
}

const llama3Of = (config: Reader, scaling: Reader): RopeScaling => ({
  kind: "llama3",
  factor: scaling.positive("factor"),
  lowFrequency: scaling.positive("low_freq_factor"),
  highFrequency: scaling.positive("high_freq_factor"),
  originalContext: originalContextOf(config, scaling),
});

/** Ding et al., arXiv 2402.13753. */
function longropeOf(config: Reader, scaling: Reader, turned: number, tensors: RopeTensors): RopeScaling {
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
function yarnOf(config: Reader, scaling: Reader): RopeScaling {
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

// How queries and keys of a layer are turned by their position, as config.json says it.
import { UnsupportedError } from "../errors.ts";
import { Later } from "../later.ts";
import type { Reader } from "./reader.ts";
import type { LongTensors, Stretched } from "./stretched.ts";

/** Scalings of single frequencies: there for every model that has one. */
export const stretched = new Later(() => import("./stretched.ts"));

export type RopeScaling =
  | { kind: "default" }
  /** No layer of this rotation turns anything. */
  | { kind: "still" }
  | { kind: "linear"; factor: number }
  /** Divisors per frequency, as a GGUF file carries them. */
  | { kind: "divisors"; divisors: readonly number[] }
  | Stretched;

export interface Rotation {
  theta: number;
  scaling: RopeScaling;
  /** Queries at position p are multiplied by 1 + growth · ln(1 + ⌊p / originalContext⌋). */
  queries: { growth: number; originalContext: number } | null;
}

/** Divisors per frequency that lie in tensors of a GGUF. */
export interface RopeTensors extends LongTensors {
  freqs?: readonly number[];
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

/** Both spellings: rope_theta + rope_scaling, and rope_parameters (transformers 5). Where a file has both the first one counts. */
const scalingOf = (config: Reader): Reader =>
  config.object(config.has("rope_scaling") ? "rope_scaling" : "rope_parameters");

const PLAIN: readonly string[] = ["default", "linear", "dynamic"];

/** What rotations are read with, where they need more than a base: to be awaited before. */
export async function fetchScalings(config: Reader): Promise<void> {
  const kinds = [...config.texts("rope_scaling"), ...config.texts("rope_parameters")];
  if (kinds.some((kind) => !PLAIN.includes(kind))) await stretched.load();
}

/** The rotation of a model whose layers all have the same. `turned`: channels of a head that are turned. */
export function readRotation(config: Reader, turned: number, tensors: RopeTensors): Rotation {
  const scaling = scalingOf(config);
  const theta = (scaling.has("rope_theta") ? scaling : config).positive("rope_theta", 10000);
  return readScaling(config, scaling, { theta, turned, tensors });
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
  return { ...plain, scaling: stretched.now.readStretched(kind, config, scaling, { turned, tensors }) };
}

/** Llama 4's sharper attention over long texts, which Ministral 3 took over. */
function queryGrowth(scaling: Reader): Rotation["queries"] {
  const growth = scaling.number("llama_4_scaling_beta", 0);
  return growth === 0 ? null : { growth, originalContext: scaling.positive("original_max_position_embeddings") };
}

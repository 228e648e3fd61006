// The state of a training as a file, from which it goes on as if it had never stopped; and the student that it holds.
//
// A safetensors file in F32: every trained tensor under its public name, and AdamW's two means of it under that name with
// ".first" and ".second" behind; how far the training is stands in the metadata.
import type { CalibrationInfo, DistillationInfo, SwiftKv } from "../api.ts";
import { ModelError } from "../errors.ts";
import { BlobFile } from "../io/files/blob.ts";
import { readSafetensors } from "../io/formats/safetensors.ts";
import { type NewTensor, writeSafetensors } from "../io/formats/written.ts";
import { layoutOf } from "../kv/systems/swiftkv/layout.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Fit, FittedQueries, FittedStore } from "../model/context.ts";
import { PARTS, type Part, type TensorShape, type Values } from "../train/tensor.ts";
import { shapesOf } from "../train/start.ts";
import { halfBits } from "./calibrate.ts";

/** The options that decide what a training comes to. */
export interface Recipe {
  steps: number;
  rate: number;
  warmup: number;
  temperature: number;
  hiddenWeight: number;
  clip: number;
  window: number;
  batch: number;
  seed: number;
}

export interface Progress {
  version: 1;
  /** Name and hash of the model that it goes with. */
  name: string;
  base: string;
  swiftkv: SwiftKv;
  /** Of the calibration that it began with. */
  made: CalibrationInfo | null;
  recipe: Recipe;
  /** Tells texts apart. */
  text: number;
  /** Steps done, and tokens read. */
  step: number;
  tokens: number;
  /** The part of the loss that compares logits, of each step. */
  losses: number[];
}

export type State = Map<Part, Map<string, Values>>;

/** A training that stands still. */
export interface Checkpoint {
  progress: Progress;
  state: State;
}

const KEY = "longprompt-training";
const suffixOf = (part: Part): string => (part === "weights" ? "" : `.${part}`);

/** The tensors of a shape as a file has them. */
function slotsOf({ name, inputs, outputs, biased }: TensorShape, part: Part): Omit<NewTensor, "bytes">[] {
  const shape = inputs === 1 ? [outputs] : [outputs, inputs];
  const weight = { name: `${name}.weight${suffixOf(part)}`, shape, type: "F32" as const };
  return biased
    ? [weight, { name: `${name}.bias${suffixOf(part)}`, shape: [outputs], type: "F32" as const }]
    : [weight];
}

export function writeCheckpoint({ progress, state }: Checkpoint, shapes: readonly TensorShape[]) {
  const tensors = [...state].flatMap(([part, values]) =>
    shapes.flatMap((shape): NewTensor[] => {
      const { weight, bias } = values.get(shape.name)!;
      const numbers = bias ? [weight, bias] : [weight];
      return slotsOf(shape, part).map((slot, i) => ({ ...slot, bytes: new Uint8Array(numbers[i]!.buffer) }));
    }),
  );
  return writeSafetensors(tensors, { format: "pt", [KEY]: JSON.stringify(progress) });
}

/** Reads a checkpoint of this very model. */
export async function readCheckpoint(
  bytes: Uint8Array<ArrayBuffer>,
  { name, hash }: { name: string; hash: string },
  config: ModelConfig,
): Promise<Checkpoint> {
  const file = new BlobFile(new Blob([bytes]), "checkpoint");
  const { tensors, metadata } = await readSafetensors(file);
  const text: unknown = (metadata as Record<string, unknown> | undefined)?.[KEY];
  if (typeof text !== "string")
    throw new ModelError(
      `resume: no checkpoint; got a file without the entry "${KEY}", want one that distil wrote. Take that.`,
    );
  const progress = JSON.parse(text) as Progress;
  if (progress.version !== 1)
    throw new ModelError(
      `resume: checkpoint of another version; got ${progress.version}, want 1. Begin again, or update longprompt.`,
    );
  const short = (text: string) => text.slice(0, 12);
  if (progress.base !== hash)
    throw new ModelError(
      `resume: checkpoint of another model; got ${name} with weights ${short(hash)}, want ${progress.name} with weights ${short(progress.base)}. Load that, or begin again.`,
    );
  const biased = tensors.some(({ name }) => name.endsWith(".k_proj_swiftkv.bias"));
  const layout = layoutOf(config.layers, progress.swiftkv);
  const state: State = new Map();
  for (const part of PARTS) {
    const values = new Map<string, Values>();
    for (const shape of shapesOf(config, layout, { biasedStores: biased })) {
      const [weight, bias] = await Promise.all(slotsOf(shape, part).map((slot) => floatsOf(tensors, slot)));
      values.set(shape.name, { weight: weight!, bias: bias ?? null });
    }
    state.set(part, values);
  }
  return { progress, state };
}

async function floatsOf(
  tensors: Awaited<ReturnType<typeof readSafetensors>>["tensors"],
  { name, shape, type }: Omit<NewTensor, "bytes">,
): Promise<Float32Array<ArrayBuffer>> {
  const tensor = tensors.find((each) => each.name === name);
  if (!tensor || tensor.type !== type || String(tensor.shape) !== String(shape))
    throw new ModelError(
      `resume: checkpoint of another shape; got ${tensor ? `${tensor.type} [${tensor.shape}]` : "nothing"} as ${name}, want ${type} [${shape}]. Begin again.`,
    );
  const bytes = await tensor.file.read(tensor.offset, tensor.byteLength, {});
  return new Float32Array(bytes.slice().buffer);
}

// ---- the student ----

/** What training came to as a student: norm_swiftkv becomes part of the projections behind it. */
export function fitOf(
  { state, progress }: Pick<Checkpoint, "progress" | "state">,
  config: Pick<ModelConfig, "layers">,
): Fit {
  const values = state.get("weights")!;
  const { swiftkv, made } = progress;
  const { owners } = layoutOf(config.layers, swiftkv);
  const gamma = values.get("model.norm_swiftkv")!.weight;
  const of = (layer: number, kind: string) => values.get(`model.layers.${layer}.self_attn.${kind}_proj_swiftkv`)!;
  const store = (owner: number): FittedStore => {
    const parts = [of(owner, "k"), of(owner, "v")];
    const weights = parts.map(({ weight }) => weight.map((value, i) => value * gamma[i % gamma.length]!));
    const bias = parts.map(({ weight, bias }) => bias ?? new Float32Array(weight.length / gamma.length));
    return { weights: halves(weights), bias: Float32Array.from(bias.flatMap((each) => [...each])) };
  };
  const queries = (layer: number): FittedQueries => {
    const { weight, bias } = of(layer, "q");
    return { weights: halves([weight]), bias };
  };
  const later = Array.from({ length: config.layers - swiftkv.layers }, (_, i) => swiftkv.layers + i);
  return {
    stores: owners.slice(swiftkv.layers).map(store),
    queries: later.map(queries),
    made,
    distilled: infoOf(progress),
  };
}

/** Losses of single steps differ with their text: so many are averaged. */
const AVERAGED = 10;

function infoOf({ recipe, step, tokens, losses }: Progress): DistillationInfo {
  const { window, rate, temperature, hiddenWeight } = recipe;
  const mean = (some: readonly number[]) => some.reduce((sum, loss) => sum + loss, 0) / Math.max(1, some.length);
  return {
    steps: step,
    tokens,
    window,
    rate,
    temperature,
    hiddenWeight,
    firstLoss: mean(losses.slice(0, AVERAGED)),
    lastLoss: mean(losses.slice(-AVERAGED)),
  };
}

function halves(parts: readonly Float32Array[]): Uint16Array<ArrayBuffer> {
  const whole = new Uint16Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) for (const value of part) whole[at++] = halfBits(value);
  return whole;
}

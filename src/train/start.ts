// What a student's training starts from, as numbers in f32: its own projections where it has some, else the ordinary
// model's, with each layer's norm weight folded in (model/swiftkv/student.ts). docs/swiftkv.md, "Conversion".
import type { SwiftKv } from "../api.ts";
import type { Gpu } from "../gpu/device.ts";
import { type AnyDispatch, Program } from "../gpu/program.ts";
import type { Layout } from "../kv/layout.ts";
import { readersOf, sameShape } from "../kv/systems/swiftkv/layout.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Fit, QkvProjection, Weights } from "../model/context.ts";
import { foldColumns, foldMembers, foldQueries, plain } from "../model/swiftkv/student.ts";
import { readFloats, type TensorShape, type Values } from "./tensor.ts";

type Floats = Float32Array<ArrayBuffer>;

/** Every tensor that is trained, in the order in which files list them: the norm, then layer by layer. */
export function shapesOf(
  { hiddenSize: D, heads: H, kvHeads: G, headWidth: E, layers, qkvBias }: ModelConfig,
  { boundary, owners }: Layout,
  { biasedStores }: { biasedStores: boolean },
): TensorShape[] {
  const of = (layer: number, kind: "q" | "k" | "v"): TensorShape => ({
    name: `model.layers.${layer}.self_attn.${kind}_proj_swiftkv`,
    inputs: D,
    outputs: (kind === "q" ? H : G) * E,
    biased: kind === "q" ? qkvBias : biasedStores,
  });
  const later = Array.from({ length: layers - boundary }, (_, i) => boundary + i);
  return [
    { name: "model.norm_swiftkv", inputs: 1, outputs: D, biased: false },
    ...later.flatMap((layer) => [of(layer, "q"), ...(owners.includes(layer) ? [of(layer, "k"), of(layer, "v")] : [])]),
  ];
}

/** Where a start comes from. */
export interface Origin {
  weights: Weights & { teacher: readonly QkvProjection[] };
  fit: Fit | null;
  /** The checkpoint's own projections, where it was trained for this very shape. */
  trained: readonly QkvProjection[] | null;
}

/** A fit goes before what the checkpoint was trained for, as in `makeStudent`. */
export function originOf(weights: Origin["weights"], fit: Fit | null, shape: SwiftKv): Origin {
  const { trained } = weights;
  const own = !fit && trained && sameShape(trained.swiftkv, shape) ? trained.qkv : null;
  return { weights, fit, trained: own };
}

/** The numbers of every tensor, by name. */
export async function startOf(
  gpu: Gpu,
  config: ModelConfig,
  layout: Layout,
  origin: Origin,
): Promise<Map<string, Values>> {
  const { boundary, owners } = layout;
  const values = new Map<string, Values>();
  values.set("model.norm_swiftkv", { weight: await startNorm(gpu, config, layout, origin), bias: null });
  for (let layer = boundary; layer < config.layers; layer++) {
    const at = `model.layers.${layer}.self_attn`;
    values.set(`${at}.q_proj_swiftkv`, await startQueries(gpu, config, layer, boundary, origin));
    const store = owners.indexOf(layer);
    if (store < 0) continue;
    const [keys, valuesOf] = halvesOf(await startStore(gpu, config, layout, store, origin));
    values.set(`${at}.k_proj_swiftkv`, keys);
    values.set(`${at}.v_proj_swiftkv`, valuesOf);
  }
  return values;
}

/** Keys and values of a store lie one after the other. */
function halvesOf({ weight, bias }: Values): [Values, Values] {
  const half = (values: Floats, i: number) => values.slice((i * values.length) / 2, ((i + 1) * values.length) / 2);
  const part = (i: number): Values => ({ weight: half(weight, i), bias: bias && half(bias, i) });
  return [part(0), part(1)];
}

async function startNorm(gpu: Gpu, { hiddenSize: D }: ModelConfig, { boundary }: Layout, { trained }: Origin) {
  const own = trained?.[boundary];
  return own ? vectorOf(gpu, own, own.vectors.gammaKv, D) : new Float32Array(D).fill(1);
}

async function startQueries(
  gpu: Gpu,
  config: ModelConfig,
  layer: number,
  boundary: number,
  { weights, fit, trained }: Origin,
): Promise<Values> {
  const { heads: H, headWidth: E, hiddenSize: D, qkvBias } = config;
  const fitted = fit?.queries?.[layer - boundary];
  if (fitted) return { weight: widened(fitted.weights), bias: fitted.bias };
  const from = (trained ?? weights.teacher)[layer]!;
  const weight = await folded(gpu, H * E * D, (raw) => [foldQueries(config, from, raw)]);
  return { weight, bias: qkvBias ? await vectorOf(gpu, from, from.vectors.biasAt, H * E) : null };
}

async function startStore(
  gpu: Gpu,
  config: ModelConfig,
  layout: Layout,
  store: number,
  { weights, fit, trained }: Origin,
): Promise<Values> {
  const { heads: H, kvHeads: G, headWidth: E, hiddenSize: D, qkvBias } = config;
  const index = store - layout.fills[layout.boundary]!.first;
  const width = 2 * G * E;
  const fitted = fit?.stores[index];
  if (fitted) return { weight: widened(fitted.weights), bias: fitted.bias };
  const own = trained?.[layout.boundary];
  const first = H * E + index * width;
  const members = readersOf(layout, store).map((layer) => weights.teacher[layer]!);
  const weight = await folded(gpu, width * D, (raw) =>
    own ? [foldColumns(own.matrix, raw, plain(first, width))] : foldMembers(config, members, raw),
  );
  if (!qkvBias) return { weight, bias: null };
  if (own) return { weight, bias: await vectorOf(gpu, own, own.vectors.biasAt + first, width) };
  return { weight, bias: await meanOf(gpu, members, ({ vectors }) => vectors.biasAt + H * E, width) };
}

/** Weights of the norm of a store's key heads, which is not trained: the mean of its readers'. */
export async function keyNorm(
  gpu: Gpu,
  { headWidth: E }: ModelConfig,
  layout: Layout,
  store: number,
  ordinary: readonly QkvProjection[],
): Promise<Floats> {
  const members = readersOf(layout, store).map((layer) => ordinary[layer]!);
  return meanOf(gpu, members, ({ vectors }) => vectors.keyNormAt, E);
}

// ---- numbers off the GPU ----

async function folded(gpu: Gpu, floats: number, fold: (raw: GPUBuffer) => AnyDispatch<object>[]): Promise<Floats> {
  const raw = gpu.buffer("start rows", floats * 4, "scratch");
  try {
    await Program.once(gpu, "start rows", fold(raw));
    return await readFloats(gpu, raw, floats);
  } finally {
    gpu.release(raw);
  }
}

export async function vectorOf(gpu: Gpu, { vectors }: QkvProjection, at: number, count: number): Promise<Floats> {
  return (await readFloats(gpu, vectors.buffer, at + count)).slice(at);
}

async function meanOf(
  gpu: Gpu,
  members: readonly QkvProjection[],
  at: (qkv: QkvProjection) => number,
  count: number,
): Promise<Floats> {
  const sum = new Float32Array(count);
  for (const member of members)
    for (const [i, value] of (await vectorOf(gpu, member, at(member), count)).entries())
      sum[i]! += value / members.length;
  return sum;
}

/** f16 bits as f32. */
export function widened(halves: Uint16Array): Floats {
  return Float32Array.from(halves, (bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

// Predicted speed of a model by length of prompt, device by device and recipe by recipe.
import type { Checkpoint } from "../../src/io/checkpoint.ts";
import type { SwiftKv } from "../../src/api.ts";
import type { Device } from "./devices.ts";
import { factsOf } from "./facts.ts";
import { workOf } from "./kernels.ts";
import { type Costs, dispatchesOf, type PaperOptions, type Repeated } from "./paper.ts";
import { type Prediction, predict } from "./time.ts";

/** A recipe as it is typed: "f16", "shadow:budget=512", "swiftkv=half+int8" (K, the layers of a prompt's tokens, may be a number). */
export interface Variant {
  name: string;
  options: PaperOptions;
}

export interface Point {
  tokens: number;
  prefill: Prediction;
  decode: Prediction;
}

export interface Curve {
  device: Device;
  variant: Variant;
  points: readonly Point[];
}

/** Throws where a text is no recipe; what a system's options may be, the engine knows. */
export function variantOf(name: string, layers: number): Variant {
  const [, share, kv = "f16"] = /^swiftkv=(half|\d+)(?:\+(.*))?$/.exec(name) ?? [];
  if (share === undefined) return { name, options: { kv: name } };
  const swiftkv: SwiftKv = { layers: share === "half" ? Math.ceil(layers / 2) : Number(share), group: 1 };
  return { name, options: { kv, swiftkv } };
}

/** Devices that differ in speed alone dispatch the same. */
const dispatched = new WeakMap<Checkpoint, Map<string, Promise<Costs[]>>>();

export function costsOn(
  checkpoint: Checkpoint,
  device: Device,
  { name, options }: Variant,
  lengths: readonly number[],
) {
  const { subgroup, limits, software } = device;
  const known = dispatched.get(checkpoint) ?? new Map<string, Promise<Costs[]>>();
  dispatched.set(checkpoint, known);
  const key = JSON.stringify([subgroup, limits, software, name, lengths]);
  const context = Math.max(...lengths) + 64;
  const found = known.get(key) ?? dispatchesOf(checkpoint, factsOf(device), lengths, { context, ...options });
  known.set(key, found);
  return found;
}

const works = (dispatches: readonly Repeated[]) =>
  Promise.all(dispatches.map(async (each) => ({ work: await workOf(each), count: each.count })));

export async function curveOf(
  checkpoint: Checkpoint,
  device: Device,
  variant: Variant,
  lengths: readonly number[],
): Promise<Curve> {
  const costs = await costsOn(checkpoint, device, variant, lengths);
  const points = costs.map(async ({ tokens, prefill, decode }) => ({
    tokens,
    prefill: predict(await works(prefill), device),
    decode: predict(await works(decode), device),
  }));
  return { device, variant, points: await Promise.all(points) };
}

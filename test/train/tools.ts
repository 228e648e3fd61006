// What the tests of training share: checkpoints read and made, and the loss in float64 by the oracle.
import {
  createCache,
  createModel,
  forward,
  type HubConfig,
  logSoftmax,
  type Model,
  type Tensor,
} from "../reference.ts";
import { readSafetensors, toSafetensors } from "../golden/checkpoint.ts";

export const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));

export interface Window {
  tokens: number[];
  mask?: number[];
}

/** Numbers of a checkpoint by tensor: weights, and the running means of gradients. */
export interface Read {
  weights: Map<string, Tensor>;
  first: Map<string, Tensor>;
  second: Map<string, Tensor>;
}

export function readCheckpoint(base64: string): Read {
  const read: Read = { weights: new Map(), first: new Map(), second: new Map() };
  for (const [name, tensor] of readSafetensors(bytesOf(base64))) {
    const [, plain, part] = /^(.*?)(?:\.(first|second))?$/.exec(name)!;
    read[(part ?? "weights") as keyof Read].set(plain!, tensor);
  }
  return read;
}

/** 32-bit FNV-1a, as load/distil.ts tells texts apart. */
export function fingerprint(windows: readonly Window[]): number {
  let hash = 0x811c9dc5;
  for (const { tokens, mask } of windows)
    for (const value of [tokens.length, ...tokens, ...(mask ?? [])]) hash = Math.imul(hash ^ value, 0x01000193) >>> 0;
  return hash;
}

/** A checkpoint before the first step, in base64. */
export function beginning(weights: ReadonlyMap<string, Tensor>, progress: object): string {
  const tensors = new Map<string, Tensor>();
  for (const part of ["", ".first", ".second"])
    for (const [name, { shape, data }] of weights)
      tensors.set(name + part, { shape, data: part ? new Float32Array(data.length) : data });
  const file = toSafetensors(tensors, "F32");
  const view = new DataView(file.buffer);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start))) as Record<string, unknown>;
  header["__metadata__"] = { format: "pt", "longprompt-training": JSON.stringify(progress) };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  head.set(text);
  const whole = new Uint8Array(8 + head.length + file.length - start);
  new DataView(whole.buffer).setBigUint64(0, BigInt(head.length), true);
  whole.set(head, 8);
  whole.set(file.subarray(start), 8 + head.length);
  return Buffer.from(whole).toString("base64");
}

// ---- the loss in float64 ----

interface Outputs {
  logits: Float64Array;
  /** [T][D] what enters the last layer */
  hidden: readonly Float64Array[];
}

function run(model: Model, tokens: readonly number[]): Outputs {
  let hidden: readonly Float64Array[] = [];
  const observe = (name: string, layer: number, rows: readonly Float64Array[]) => {
    if (name === "hidden" && layer === model.shape.L - 1) hidden = rows;
  };
  const logits = forward(model, tokens, createCache(model), { rows: "all", observe });
  return { logits, hidden };
}

export interface LossOf {
  config: HubConfig;
  /** The ordinary model's. */
  tensors: ReadonlyMap<string, Tensor>;
  layers: number;
  group: number;
  windows: readonly Window[];
  temperature: number;
  hiddenWeight: number;
}

/** The loss of a student with these trained tensors, as a function of them. */
export function lossIn64({ config, tensors, layers, group, windows, temperature, hiddenWeight }: LossOf) {
  const teacher = createModel(config, tensors);
  const want = windows.map(({ tokens }) => run(teacher, tokens));
  const shape = { ...config, num_key_value_layers: layers, key_value_group_size: group };
  const { L, V } = teacher.shape;
  // The norm of a group's keys: the mean of its layers'.
  const norms = new Map<string, Tensor>();
  for (let owner = layers; owner < L; owner += group) {
    const name = (layer: number) => `model.layers.${layer}.self_attn.k_norm.weight`;
    const members = Array.from({ length: group }, (_, i) => tensors.get(name(owner + i)));
    const first = members[0];
    if (!first) continue;
    const mean = Float64Array.from(first.data, (_, i) => members.reduce((sum, m) => sum + m!.data[i]! / group, 0));
    norms.set(name(owner), { shape: first.shape, data: mean });
  }
  const counts = ({ tokens, mask }: Window, t: number) => (t + 1 < tokens.length ? (mask?.[t] ?? 1) : 0);
  const counted = windows.reduce(
    (sum, window) => sum + window.tokens.reduce((part, _, t) => part + counts(window, t), 0),
    0,
  );
  return (trained: ReadonlyMap<string, Tensor>): { total: number; kl: number; hidden: number } => {
    const student = createModel(shape, new Map([...tensors, ...norms, ...trained]));
    let [kl, hidden] = [0, 0];
    for (const [i, window] of windows.entries()) {
      const got = run(student, window.tokens);
      for (let t = 0; t < window.tokens.length; t++) {
        const share = counts(window, t) / counted;
        if (share === 0) continue;
        const row = (logits: Float64Array) =>
          logSoftmax(logits.subarray(t * V, (t + 1) * V).map((z) => z / temperature));
        const [p, q] = [row(want[i]!.logits), row(got.logits)];
        kl += share * temperature ** 2 * p.reduce((sum, value, v) => sum + Math.exp(value) * (value - q[v]!), 0);
        const apart = got.hidden[t]!.reduce((sum, value, d) => sum + (value - want[i]!.hidden[t]![d]!) ** 2, 0);
        hidden += (share * apart) / got.hidden[t]!.length;
      }
    }
    return { total: kl + hiddenWeight * hidden, kl, hidden };
  };
}

// SwiftKV checkpoints with one thing wrong, and the tensor or field that the loader's complaint must name; and such
// as only look wrong and must load.
import { type Checkpoint, makeCheckpoint, readGolden } from "./checkpoint.ts";
import type { GoldenNumbers } from "./checkpoint.ts";

type Tensors = Checkpoint["tensors"];

interface Change {
  variant: string;
  /** Fields of config.json that take another value; undefined: absent. */
  config?: Record<string, unknown>;
  tensors?: (tensors: Tensors) => void;
}

/** `names`: what the error must contain. */
export type Damage = Change & { names: string };

/** `like`: whose numbers of the fixture the checkpoint must give. */
export type Oddity = Change & { like: "student" | "teacher" };

const norm = "model.norm_swiftkv.weight";
const attention = (layer: number, name: string): string => `model.layers.${layer}.self_attn.${name}`;

function lacks(variant: string, name: string): Damage {
  return { variant, names: name, tensors: (tensors) => void tensors.delete(name) };
}

/** The last row, or the last element of a vector, is missing: the bytes are there, the size is another. */
function isShort(variant: string, name: string): Damage {
  return { variant, names: name, tensors: (tensors) => void tensors.set(name, shorten(tensors.get(name)!)) };
}

function shorten({ shape: [rows, ...rest], data }: { shape: number[]; data: Float32Array }) {
  const shape = [rows! - 1, ...rest];
  return {
    shape,
    data: data.slice(
      0,
      shape.reduce((a, b) => a * b, 1),
    ),
  };
}

const drop =
  (which: (name: string) => boolean) =>
  (tensors: Tensors): void =>
    [...tensors.keys()].filter(which).forEach((name) => tensors.delete(name));

const says = (variant: string, field: string, value: unknown): Damage => ({
  variant,
  names: field,
  config: { [field]: value },
});

/** Each must be refused by an error that contains `names`. Layers by owner: g3 [2 2 2], qwen2 [2 2 4 4], qwen3 [3]. */
export const DAMAGED: Readonly<Record<string, Damage>> = {
  "no norm_swiftkv": lacks("llama-swiftkv", norm),
  "owner without k_proj_swiftkv": lacks("llama-swiftkv-g3", attention(2, "k_proj_swiftkv.weight")),
  "second owner without k_proj_swiftkv": lacks("qwen2-swiftkv", attention(4, "k_proj_swiftkv.weight")),
  "owner without v_proj_swiftkv": lacks("llama-swiftkv", attention(5, "v_proj_swiftkv.weight")),
  "owner without q_proj_swiftkv": lacks("llama-swiftkv", attention(3, "q_proj_swiftkv.weight")),
  "other layer without q_proj_swiftkv": lacks("llama-swiftkv-g3", attention(3, "q_proj_swiftkv.weight")),
  "owner without k_proj_swiftkv.bias": lacks("qwen2-swiftkv", attention(2, "k_proj_swiftkv.bias")),
  "other layer without q_proj_swiftkv.bias": lacks("qwen2-swiftkv", attention(3, "q_proj_swiftkv.bias")),
  "owner without k_norm": lacks("qwen3-swiftkv", attention(3, "k_norm.weight")),
  "later layer without q_norm": lacks("qwen3-swiftkv", attention(3, "q_norm.weight")),
  "later layer without o_proj": lacks("llama-swiftkv", attention(4, "o_proj.weight")),
  "own layer without k_proj": lacks("llama-swiftkv", attention(2, "k_proj.weight")),
  "norm_swiftkv too short": isShort("llama-swiftkv", norm),
  "k_proj_swiftkv too small": isShort("llama-swiftkv-g3", attention(2, "k_proj_swiftkv.weight")),
  "v_proj_swiftkv too small": isShort("llama-swiftkv", attention(4, "v_proj_swiftkv.weight")),
  "q_proj_swiftkv too small": isShort("qwen3-swiftkv", attention(3, "q_proj_swiftkv.weight")),
  "q_proj_swiftkv.bias too short": isShort("qwen2-swiftkv", attention(5, "q_proj_swiftkv.bias")),
  // Several tensors of one layer are missing here: which is named is the loader's choice.
  "G smaller than the checkpoint's": {
    variant: "llama-swiftkv-g3",
    config: { key_value_group_size: 1 },
    names: attention(3, ""),
  },
  "K smaller than the checkpoint's": {
    variant: "llama-swiftkv",
    config: { num_key_value_layers: 2 },
    names: attention(2, ""),
  },
  "swiftkv false, but the teacher's tensors were dropped": {
    variant: "llama-swiftkv",
    config: { swiftkv: false },
    tensors: (tensors) => void tensors.delete(attention(3, "k_proj.weight")),
    names: attention(3, "k_proj.weight"),
  },
  "G does not divide L − K": says("llama-swiftkv-g3", "key_value_group_size", 2),
  "G divides L, not L − K": says("llama-swiftkv-g3", "key_value_group_size", 5),
  "G is 0": says("llama-swiftkv", "key_value_group_size", 0),
  "G is negative": says("llama-swiftkv", "key_value_group_size", -1),
  "G is fractional": says("llama-swiftkv", "key_value_group_size", 1.5),
  "G is text": says("llama-swiftkv", "key_value_group_size", "1"),
  "K exceeds L": says("llama-swiftkv", "num_key_value_layers", 7),
  "K is negative": says("llama-swiftkv", "num_key_value_layers", -1),
  "K is fractional": says("llama-swiftkv", "num_key_value_layers", 2.5),
  "K is text": says("llama-swiftkv", "num_key_value_layers", "3"),
  "swiftkv is text": says("llama-swiftkv", "swiftkv", "yes"),
};

/** Each must load. */
export const HARMLESS: Readonly<Record<string, Oddity>> = {
  "a layer that owns no cache has a k_proj_swiftkv": {
    variant: "llama-swiftkv-g3",
    tensors: (tensors) =>
      void tensors.set(attention(3, "k_proj_swiftkv.weight"), tensors.get(attention(2, "k_proj_swiftkv.weight"))!),
    like: "student",
  },
  "that k_proj_swiftkv has a wrong size": {
    variant: "llama-swiftkv-g3",
    tensors: (tensors) => void tensors.set(attention(4, "k_proj_swiftkv.weight"), tensors.get(norm)!),
    like: "student",
  },
  "the teacher's q, k, v of later layers were dropped": {
    variant: "qwen2-swiftkv",
    tensors: drop((name) => /layers\.[2-5]\.self_attn\.[qkv]_proj\./.test(name)),
    like: "student",
  },
  "swiftkv is absent": { variant: "llama-swiftkv", config: { swiftkv: undefined }, like: "student" },
  "swiftkv is null": { variant: "llama-swiftkv", config: { swiftkv: null }, like: "student" },
  "key_value_group_size is null": { variant: "llama-swiftkv", config: { key_value_group_size: null }, like: "student" },
  "swiftkv is false": { variant: "llama-swiftkv", config: { swiftkv: false }, like: "teacher" },
  "swiftkv is false; the student's tensors were dropped": {
    variant: "llama-swiftkv",
    config: { swiftkv: false },
    tensors: drop((name) => name.includes("_swiftkv")),
    like: "teacher",
  },
  "num_key_value_layers is absent: the class's default is L": {
    variant: "llama-swiftkv",
    config: { num_key_value_layers: undefined },
    like: "teacher",
  },
  "K is L": { variant: "llama-swiftkv", config: { num_key_value_layers: 6 }, like: "teacher" },
};

/** The checkpoint of a variant with the change made. */
export function applyChange({ variant, config, tensors: change }: Change): Checkpoint {
  const checkpoint = makeCheckpoint(variant);
  change?.(checkpoint.tensors);
  return { config: { ...checkpoint.config, ...config }, tensors: checkpoint.tensors };
}

/** The fixture's numbers of the student or of the dense teacher. */
export function numbersOf(variant: string, like: Oddity["like"]): GoldenNumbers {
  const golden = readGolden(variant);
  return like === "teacher" ? golden.teacher! : golden;
}

// A student and its base as one checkpoint in the public layout of SwiftKV, file by file: docs/recovery.md, "A whole checkpoint".
import type { FilePiece, ModelSource } from "../api.ts";
import { InputError, ModelError } from "../errors.ts";
import { type Checkpoint, openCheckpoint } from "../io/checkpoint.ts";
import { safetensorsHead } from "../io/formats/written.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Fit } from "../model/context.ts";
import { hashOf, isOrdinary, printOf } from "../model/weights/loader.ts";
import type { TensorInfo, TensorType } from "../tensor.ts";
import { newTensors } from "./student.ts";

/** Ordinary architectures whose SwiftKV layout is public, and what it is called. */
const PUBLIC: Readonly<Record<string, { type: string; architecture: string }>> = {
  LlamaForCausalLM: { type: "llama_swiftkv", architecture: "LlamaSwiftKVForCausalLM" },
  Qwen2ForCausalLM: { type: "qwen2_swiftkv", architecture: "Qwen2SwiftKVForCausalLM" },
};

export interface FullModel {
  config: ModelConfig;
  /** The base's hash, and its name for messages. */
  hash: string;
  name: string;
}

/** A tensor of the new file, and how to come by its bytes. */
interface Written {
  name: string;
  shape: readonly number[];
  type: TensorType;
  byteLength: number;
  read: () => Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * The weights first: their hash is known once they have been read, and what is not the student's base is refused before the
 * folder has a config.json. Throws InputError where the public layout has no place for the student.
 */
export async function* checkpointFiles(
  fit: Fit,
  model: FullModel,
  source: ModelSource,
  signal?: AbortSignal,
): AsyncGenerator<FilePiece> {
  const checkpoint = await openCheckpoint(source, { signal });
  try {
    checkPlaces(fit, model.config, checkpoint);
    yield* weights(fit, model, checkpoint, signal);
    for (const [file, text] of texts(model.config, checkpoint)) yield { file, bytes: new TextEncoder().encode(text) };
  } finally {
    checkpoint.close();
  }
}

function checkPlaces({ stores }: Fit, { architecture, qkvBias }: ModelConfig, { gguf, name }: Checkpoint): void {
  const refuse = (got: string, want: string): never => {
    throw new InputError(`saveCheckpoint: ${name}; got ${got}, want ${want}.`);
  };
  if (gguf)
    refuse("a GGUF", "a folder with safetensors, whose tensors the checkpoint repeats. Give the original model");
  if (!PUBLIC[ordinaryOf(architecture)])
    refuse(architecture, `one of ${Object.keys(PUBLIC).join(", ")}. Keep the student as a file beside its base`);
  const hasConstant = stores.some(({ bias }) => bias.some((value) => value !== 0));
  if (hasConstant && !qkvBias)
    refuse(
      `a student with biases, for which ${architecture} has no place`,
      "one without. Calibrate with { constant: false }",
    );
}

const ordinaryOf = (architecture: string): string => architecture.replace("SwiftKV", "");

// ---- weights ----

async function* weights(
  fit: Fit,
  { config, hash, name }: FullModel,
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
): AsyncGenerator<FilePiece> {
  const file = "model.safetensors";
  const prints: string[] = [];
  const base = [...checkpoint.tensors.values()].filter((tensor) => !tensor.name.includes("swiftkv"));
  const tensors = [
    ...base.map((tensor) => ofBase(tensor, checkpoint, signal)),
    ...added(fit, config, checkpoint, signal),
  ];
  yield { file, bytes: safetensorsHead(tensors, { format: "pt" }) };
  for (const [i, { name, read }] of tensors.entries()) {
    const bytes = await read();
    if (i < base.length && isOrdinary(name)) prints.push(await printOf(base[i]!, bytes));
    yield { file, bytes };
  }
  const found = await hashOf(prints);
  if (found !== hash)
    throw new ModelError(
      `saveCheckpoint: ${checkpoint.name}; got weights ${found.slice(0, 12)}, want those of ${name}, ${hash.slice(0, 12)}, which the student was made for. Give that model.`,
    );
}

type BaseTensor = TensorInfo & { byteLength: number };

const ofBase = (tensor: BaseTensor, checkpoint: Checkpoint, signal: AbortSignal | undefined): Written => ({
  ...tensor,
  read: () => checkpoint.read(tensor.name, signal),
});

/** The norm, which is 1; keys and values; queries, the base's own where the student has none. */
function added(fit: Fit, config: ModelConfig, checkpoint: Checkpoint, signal: AbortSignal | undefined): Written[] {
  const made = newTensors(fit, config).filter(({ name }) => config.qkvBias || !name.endsWith(".bias"));
  const norm = new Float32Array(config.hiddenSize).fill(1);
  const all = [
    {
      name: "model.norm_swiftkv.weight",
      shape: [norm.length],
      type: "F32" as const,
      bytes: new Uint8Array(norm.buffer),
    },
    ...made,
  ].map(({ bytes, ...tensor }) => ({ ...tensor, byteLength: bytes.length, read: () => Promise.resolve(bytes) }));
  return fit.queries ? all : [...all, ...ownQueries(config, checkpoint, signal)];
}

function ownQueries(
  { layers, swiftkv, qkvBias }: ModelConfig,
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
): Written[] {
  const later = Array.from({ length: layers - swiftkv!.layers }, (_, i) => swiftkv!.layers + i);
  const kinds = qkvBias ? ["weight", "bias"] : ["weight"];
  return later.flatMap((layer) =>
    kinds.map((kind) => {
      const own = checkpoint.tensors.get(`model.layers.${layer}.self_attn.q_proj.${kind}`)!;
      return { ...ofBase(own, checkpoint, signal), name: own.name.replace("q_proj", "q_proj_swiftkv") };
    }),
  );
}

// ---- texts ----

function texts({ architecture, swiftkv }: ModelConfig, checkpoint: Checkpoint): [file: string, text: string][] {
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const named = PUBLIC[ordinaryOf(architecture)]!;
  const config = {
    ...checkpoint.config,
    architectures: [named.architecture],
    model_type: named.type,
    swiftkv: true,
    num_key_value_layers: swiftkv!.layers,
    key_value_group_size: swiftkv!.group,
  };
  const { tokenizer, chatTemplate, generationConfig } = checkpoint;
  const files: [string, string | null][] = [
    ["tokenizer.json", tokenizer && json(tokenizer.json)],
    ["tokenizer_config.json", tokenizer && json(tokenizer.config)],
    ["chat_template.jinja", chatTemplate],
    ["generation_config.json", Object.keys(generationConfig).length > 0 ? json(generationConfig) : null],
    ["config.json", json(config)],
  ];
  return files.filter((file): file is [string, string] => file[1] !== null);
}

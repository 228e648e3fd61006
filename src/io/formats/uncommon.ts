// Folders that are not as most are: weights in several files, special tokens in files of their own, no checkpoint at all.
// Fetched with the first of them.
import { isObject, ModelError } from "../../errors.ts";
import { type Folder, quote } from "../files/bytes.ts";
import { readSafetensors, type Safetensors } from "./safetensors.ts";

type Json = Record<string, unknown>;
type Tensors = Pick<Safetensors, "tensors" | "others">;

/** The error for a folder without a checkpoint: it names the GGUF file to take instead. */
export async function absent(folder: Folder, what: string, signal?: AbortSignal): Promise<ModelError> {
  const choices = (await folder.ggufs?.(signal)) ?? [];
  const [best] = choices;
  const size = best?.bytes ? `, ${(best.bytes / 1e6).toFixed(0)} MB` : "";
  const hint = best ? ` It has GGUF files; load one by its URL: ${best.source} (${best.precision}${size})` : "";
  return new ModelError(`${folder.name}: ${what}${hint}`, { code: "not-found", choices });
}

/**
 * What checkpoints from before `added_tokens_decoder` say in files of their own: names of special tokens, which win over
 * tokenizer_config.json, and tokens beside the vocabulary. `read`: a file of the folder; null: it is not there.
 */
export async function olderFiles(
  config: Json,
  read: (path: string) => Promise<Json | null>,
): Promise<{ config: Json; added: Json }> {
  const names = (await read("special_tokens_map.json")) ?? {};
  return { config: { ...config, ...names }, added: (await read("added_tokens.json")) ?? {} };
}

/** What transformers calls models whose way of seeing the engine knows. */
const SEEING: readonly unknown[] = ["idefics3", "smolvlm"];

/** How pictures are prepared for a model that sees; null where it does so in an unknown way. Newer checkpoints have it within processor_config.json. */
export async function seeing(config: Json, read: (path: string) => Promise<Json | null>): Promise<Json | null> {
  if (!SEEING.includes(config["model_type"])) return null;
  const own = await read("preprocessor_config.json");
  if (own) return own;
  const within = (await read("processor_config.json"))?.["image_processor"];
  return isObject(within) ? within : {};
}

/** The tensors of all files that model.safetensors.index.json names. */
export async function openShards(folder: Folder, index: Json, signal?: AbortSignal): Promise<Tensors> {
  const shards: Tensors[] = [];
  for (const [shard, names] of readShardMap(index, `${folder.name}/model.safetensors.index.json`))
    shards.push(await openShard(folder, shard, names, signal));
  return {
    tensors: shards.flatMap(({ tensors }) => tensors),
    others: new Map(shards.flatMap(({ others }) => [...others])),
  };
}

/** An index may name a head that was saved as the embedding alone: the model then is tied. */
const TIED = "lm_head.weight";

async function openShard(
  folder: Folder,
  shard: string,
  names: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<Tensors> {
  const file = await folder.open(shard, signal);
  if (!file) throw new ModelError(`${folder.name}: shard missing; got no ${shard}, want every file the index names.`);
  const { tensors, others } = await readSafetensors(file, signal);
  const present = new Set([...others.keys(), ...tensors.map(({ name }) => name)]);
  for (const name of names) {
    if (present.has(name) || name === TIED) continue;
    throw new ModelError(`${folder.name}/${shard}: tensor missing; got no ${quote(name)}, want what the index names.`);
  }
  return { tensors: tensors.filter(({ name }) => names.has(name)), others };
}

/**
 * Shard file → the tensors it must hold, from model.safetensors.index.json. Shards in name order. Throws ModelError for
 * a malformed map or a shard name that is more than a file name.
 */
function readShardMap(index: Json, name: string): Map<string, Set<string>> {
  const map = index["weight_map"];
  if (!isObject(map)) {
    throw new ModelError(`${name}: weight_map missing; got ${quote(map)}, want {tensor: file}.`);
  }
  const shards = new Map<string, Set<string>>();
  for (const [tensor, shard] of Object.entries(map).toSorted(([, a], [, b]) => (String(a) < String(b) ? -1 : 1))) {
    if (typeof shard !== "string" || !/^[\w][\w .+=,-]*\.safetensors$/.test(shard)) {
      throw new ModelError(
        `${name}: weight_map[${quote(tensor)}]; got ${quote(shard)}, want a .safetensors file name.`,
      );
    }
    const tensors = shards.get(shard);
    if (tensors) tensors.add(tensor);
    else shards.set(shard, new Set([tensor]));
  }
  if (shards.size > 0) return shards;
  throw new ModelError(`${name}: weight_map is empty; got no tensors, want the names of all.`);
}

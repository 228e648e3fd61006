// A golden checkpoint as the files of a hub folder, for whatever loads models.
import { toSafetensors } from "./checkpoint.ts";
import type { Checkpoint, StoredType } from "./checkpoint.ts";

const SPECIAL = ["<unk>", "<s>", "</s>"];

/** The letter that token `id` (3 and up) stands for: text and ids map one to one. */
export const letterOf = (id: number): string => String.fromCodePoint(0x100 + id);

/** config.json, tokenizer.json (one letter per token), tokenizer_config.json, model.safetensors: name → content. */
export const toFiles = (checkpoint: Checkpoint, dtype: StoredType): Map<string, Uint8Array<ArrayBuffer>> =>
  folderOf(checkpoint, dtype, letterTokenizer(Number(checkpoint.config.vocab_size), SPECIAL, letterOf));

/** The same with a tokenizer of the caller's. */
export function folderOf(
  { config, tensors }: Checkpoint,
  dtype: StoredType,
  tokenizer: unknown,
): Map<string, Uint8Array<ArrayBuffer>> {
  return new Map([
    ["config.json", json(config)],
    ["tokenizer.json", json(tokenizer)],
    [
      "tokenizer_config.json",
      json({ tokenizer_class: "PreTrainedTokenizerFast", bos_token: "<s>", eos_token: "</s>" }),
    ],
    ["model.safetensors", toSafetensors(tensors, dtype)],
  ]);
}

/** tokenizer.json with one letter for each token behind the special ones. */
export function letterTokenizer(vocabulary: number, special: readonly string[], letter: typeof letterOf): unknown {
  const pieces = Array.from({ length: vocabulary }, (_, id) => [special[id] ?? letter(id), id] as const);
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: "1.0",
    added_tokens: special.map((content, id) => ({ id, content, ...flags })),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: "Fuse" },
    model: { type: "BPE", unk_token: "<unk>", vocab: Object.fromEntries(pieces), merges: [] },
  };
}

export const json = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value));

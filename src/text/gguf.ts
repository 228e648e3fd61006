// The tokenizer inside a GGUF file, as the tokenizer.json and tokenizer_config.json of the same model.

import { ModelError, UnsupportedError } from "../errors.ts";
import { nameOf } from "./fields.ts";
import type { TokenizerFiles } from "./schema.ts";
import { GPT2_SPLIT } from "./split.ts";

type Metadata = ReadonlyMap<string, unknown>;

/** Values of tokenizer.ggml.token_type that change how a token is read. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const NORMAL = 1;

/** The mark that stands for a space in sentencepiece vocabularies. */
const SPACE = "\u2581";

/** How a byte-level model cuts text before merging: the regexes in order, and what else depends on the name. */
interface Preset {
  splits: readonly string[];
  /** A word that is in the vocabulary as a whole is not merged up. */
  ignoreMerges?: true;
  /** Whether a text opens with the first token unless the file says otherwise. */
  addBos?: true;
  normalizer?: { type: string };
}

const CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const PUNCTUATION_AND_SPACE = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";

/** Words, numbers of up to `digits` digits, and the line breaks after punctuation. */
const llamaSplit = (digits: string): string =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${PUNCTUATION_AND_SPACE}`;

const GPT2: Preset = { splits: [GPT2_SPLIT] };
const DIGITS_APART: Preset = { splits: ["\\p{N}", GPT2_SPLIT] };
const LLAMA3: Preset = { splits: [llamaSplit("\\p{N}{1,3}")], ignoreMerges: true, addBos: true };
const QWEN2: Preset = { splits: [llamaSplit("\\p{N}")], normalizer: { type: "NFC" } };
const TEKKEN: Preset = {
  splits: [
    `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*|\\p{N}` +
      `| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${PUNCTUATION_AND_SPACE}`,
  ],
  ignoreMerges: true,
  addBos: true,
};
/** What llama.cpp does where a file names no scheme: cuts at punctuation, then as GPT-2, then three digits apart. */
const DEFAULT: Preset = { splits: ["[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_SPLIT, "\\p{N}+", "[0-9][0-9][0-9]"] };

const LETTERS_LLAMA4 = `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${CONTRACTIONS}?|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${CONTRACTIONS}?`;
const GPT4O: Preset = {
  splits: [`${LETTERS_LLAMA4}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${PUNCTUATION_AND_SPACE}`],
};
/** Han, and the two blocks that its makers took with it. */
const CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
const DEEPSEEK_LLM: Preset = {
  splits: [
    "[\\r\\n]",
    // Letters that have a case; Georgian had none when the list was made.
    "\\s?(?:(?![\\u10d0-\\u10ff])[\\p{Lu}\\p{Ll}\\p{Lt}])+",
    "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
    "\\s+$",
    CJK,
    "\\p{N}+",
  ],
};
const DEEPSEEK_CODER: Preset = { splits: ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"] };
const DEEPSEEK_V3: Preset = {
  splits: [
    "\\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" +
      `|${PUNCTUATION_AND_SPACE}`,
  ],
};
const FALCON: Preset = { splits: ["[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2_SPLIT, "[0-9][0-9][0-9]"] };
const BAILING: Preset = {
  splits: [
    "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" +
      "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
  ],
};
const SEED_CODER: Preset = {
  splits: [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${PUNCTUATION_AND_SPACE}`],
};

/** As llama.cpp groups the names. Left out: what needs more than these patterns (bloom, chameleon, kimi-k2, superbpe, …). */
const NAMES: readonly (readonly [Preset, string])[] = [
  [DEFAULT, "default"],
  [GPT2, "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert exaone4"],
  [GPT2, "mpt olmo jais trillion granite-docling"],
  [DIGITS_APART, "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2"],
  [LLAMA3, "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano"],
  [{ splits: LLAMA3.splits }, "dbrx smaug-bpe glm4 chatglm-bpe"],
  [QWEN2, "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez"],
  [{ splits: QWEN2.splits }, "stablelm2 hunyuan solar-open grok-2"],
  [TEKKEN, "tekken"],
  [GPT4O, "gpt-4o llama4 kanana2 minimax-m2"],
  [DEEPSEEK_LLM, "deepseek-llm"],
  [DEEPSEEK_CODER, "deepseek-coder"],
  [DEEPSEEK_V3, "deepseek-v3 hunyuan-dense joyai-llm hy_v4"],
  [FALCON, "falcon"],
  [BAILING, "bailingmoe bailingmoe2 llada-moe"],
  [SEED_CODER, "seed-coder"],
];
const PRESETS: ReadonlyMap<string, Preset> = new Map(
  NAMES.flatMap(([preset, names]) => names.split(" ").map((name) => [name, preset] as const)),
);

/**
 * Tokenizer files from GGUF metadata (keys `tokenizer.ggml.*`; arrays may be typed). Kinds: `gpt2` (byte-level BPE) and
 * `llama` (sentencepiece BPE). Errors: ModelError for damaged metadata, UnsupportedError for other kinds and schemes.
 */
export function tokenizerFromGguf(metadata: Metadata): TokenizerFiles {
  const kind = stringAt(metadata, "model");
  const tokens = stringsAt(metadata, "tokens");
  if (tokens.length === 0) throw damaged("tokens", "is empty, want a vocabulary");
  const types = typesOf(metadata, tokens.length);
  switch (kind) {
    case "gpt2":
      return byteLevelFiles(metadata, tokens, types);
    case "llama":
      return sentencePieceFiles(metadata, tokens, types);
    default:
      throw new UnsupportedError(`gguf: tokenizer.ggml.model is ${kind}, want gpt2 or llama. Use another model.`);
  }
}

function byteLevelFiles(metadata: Metadata, tokens: readonly string[], types: Types): TokenizerFiles {
  const name = metadata.has("tokenizer.ggml.pre") ? stringAt(metadata, "pre") : "default";
  const preset = PRESETS.get(name);
  if (!preset) {
    const known = [...PRESETS.keys()].join(", ");
    throw new UnsupportedError(
      `gguf: tokenizer.ggml.pre is ${name.slice(0, 60)}, want one of ${known}. Use another model.`,
    );
  }
  const model = {
    type: "BPE",
    vocab: vocabularyOf(tokens),
    merges: stringsAt(metadata, "merges"),
    ignore_merges: preset.ignoreMerges ?? false,
  };
  const specials = specialsOf(metadata, tokens, {});
  const splits = preset.splits.map((regex) => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated" }));
  const bytes = { type: "ByteLevel", use_regex: false };
  return {
    json: {
      model,
      normalizer: preset.normalizer ?? null,
      pre_tokenizer: { type: "Sequence", pretokenizers: [...splits, bytes] },
      post_processor: frame(metadata, specials, preset.addBos ?? false),
      decoder: { type: "ByteLevel" },
      added_tokens: addedTokens(tokens, types, specials),
    },
    config: configOf(specials),
  };
}

function sentencePieceFiles(metadata: Metadata, tokens: readonly string[], types: Types): TokenizerFiles {
  // Without scores all merges are worth the same: what joins is decided by place.
  const scores = metadata.has("tokenizer.ggml.scores")
    ? numbersAt(metadata, "scores", tokens.length)
    : new Float64Array(tokens.length);
  const prefix = flagAt(metadata, "add_space_prefix", true);
  const specials = specialsOf(metadata, tokens, { bos_token: 1, eos_token: 2, unk_token: 0 });
  const replace = { type: "Replace", pattern: { String: " " }, content: SPACE };
  const decoders = [
    { type: "Replace", pattern: { String: SPACE }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
  ];
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    json: {
      model: {
        type: "SentencePiece",
        pieces: tokens,
        scores: Array.from(tokens, (_, id) => (types(id) === NORMAL ? scores[id]! : null)),
        unk_token: specials["unk_token"]?.text ?? null,
      },
      normalizer: {
        type: "Sequence",
        normalizers: prefix ? [{ type: "Prepend", prepend: SPACE }, replace] : [replace],
      },
      pre_tokenizer: null,
      post_processor: frame(metadata, specials, true),
      decoder: { type: "Sequence", decoders: prefix ? [...decoders, strip] : decoders },
      added_tokens: addedTokens(tokens, types, specials),
    },
    config: configOf(specials),
  };
}

/** The first of several tokens with the same text counts when encoding. */
function vocabularyOf(tokens: readonly string[]): Record<string, number> {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (!ids.has(token)) ids.set(token, id);
  return Object.fromEntries(ids);
}

type Specials = Readonly<Record<string, { id: number; text: string }>>;

const SPECIAL_KEYS: ReadonlyMap<string, string> = new Map([
  ["bos_token", "bos_token_id"],
  ["eos_token", "eos_token_id"],
  ["unk_token", "unknown_token_id"],
  ["pad_token", "padding_token_id"],
  ["eot_token", "eot_token_id"],
  ["eom_token", "eom_token_id"],
]);

/** `defaults`: ids where the file has none, used if the vocabulary reaches that far. */
function specialsOf(metadata: Metadata, tokens: readonly string[], defaults: Record<string, number>): Specials {
  const specials: Record<string, { id: number; text: string }> = {};
  for (const [name, key] of SPECIAL_KEYS) {
    const id = idAt(metadata, key, tokens.length) ?? defaults[name];
    const text = id === undefined ? undefined : tokens[id];
    if (id !== undefined && text) specials[name] = { id, text };
  }
  return specials;
}

/** The tokens found in raw text before anything else: control tokens (special) and those the model's makers added. */
function addedTokens(tokens: readonly string[], types: Types, specials: Specials): object[] {
  const control = new Set(["bos_token", "eos_token", "eot_token", "eom_token"].map((name) => specials[name]?.id));
  const added: object[] = [];
  for (const [id, token] of tokens.entries()) {
    const type = types(id);
    const special = type === CONTROL || type === UNKNOWN || control.has(id);
    // Text has plain spaces where a sentencepiece vocabulary has marks.
    const content = special ? token : token.replaceAll(SPACE, " ");
    if ((special || type === USER_DEFINED) && token !== "") added.push({ id, content, special, normalized: false });
  }
  return added;
}

/** The post-processor that puts the model's first and last token around a text. */
function frame(metadata: Metadata, specials: Specials, addBosByDefault: boolean): object | null {
  const { bos_token: bos, eos_token: eos } = specials;
  const addBos = flagAt(metadata, "add_bos_token", addBosByDefault && bos !== undefined);
  const addEos = flagAt(metadata, "add_eos_token", false);
  if (addBos && !bos) throw damaged("bos_token_id", "is missing, want an id since add_bos_token is true");
  if (addEos && !eos) throw damaged("eos_token_id", "is missing, want an id since add_eos_token is true");
  const single: object[] = [{ Sequence: { id: "A", type_id: 0 } }];
  if (addBos) single.unshift({ SpecialToken: { id: bos!.text, type_id: 0 } });
  if (addEos) single.push({ SpecialToken: { id: eos!.text, type_id: 0 } });
  return addBos || addEos ? { type: "TemplateProcessing", single } : null;
}

const configOf = (specials: Specials): Record<string, unknown> =>
  Object.fromEntries(Object.entries(specials).map(([name, { text }]) => [name, text]));

const damaged = (key: string, what: string): ModelError =>
  new ModelError(`gguf: tokenizer.ggml.${key} ${what}. Is the file damaged?`);

function stringAt(metadata: Metadata, key: string): string {
  const value = metadata.get(`tokenizer.ggml.${key}`);
  if (typeof value === "string") return value;
  throw damaged(key, `is ${nameOf(value)}, want a string`);
}

function stringsAt(metadata: Metadata, key: string): string[] {
  const value = metadata.get(`tokenizer.ggml.${key}`);
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw damaged(key, `is ${Array.isArray(value) ? "an array of other things" : nameOf(value)}, want strings`);
}

function numbersAt(metadata: Metadata, key: string, length: number): ArrayLike<number> {
  const value = metadata.get(`tokenizer.ggml.${key}`);
  const view = ArrayBuffer.isView(value) && !(value instanceof DataView);
  if (!view && !Array.isArray(value)) throw damaged(key, `is ${nameOf(value)}, want numbers`);
  const numbers = Float64Array.from(value as ArrayLike<unknown>, (item) => (typeof item === "number" ? item : NaN));
  if (numbers.length !== length) throw damaged(key, `has ${numbers.length} entries, want ${length} as tokens has`);
  if (!numbers.every((item) => Number.isFinite(item))) throw damaged(key, "holds something else than numbers");
  return numbers;
}

/** Type of a token by id. */
type Types = (id: number) => number;

function typesOf(metadata: Metadata, length: number): Types {
  if (!metadata.has("tokenizer.ggml.token_type")) return () => NORMAL;
  const types = numbersAt(metadata, "token_type", length);
  return (id) => types[id]!;
}

function flagAt(metadata: Metadata, key: string, otherwise: boolean): boolean {
  const value = metadata.get(`tokenizer.ggml.${key}`) ?? otherwise;
  if (typeof value === "boolean") return value;
  throw damaged(key, `is ${nameOf(value)}, want true or false`);
}

function idAt(metadata: Metadata, key: string, vocabulary: number): number | undefined {
  const value = metadata.get(`tokenizer.ggml.${key}`);
  if (value === undefined) return undefined;
  const id = typeof value === "bigint" ? Number(value) : value;
  if (typeof id !== "number" || !Number.isInteger(id)) throw damaged(key, `is ${nameOf(id)}, want a whole number`);
  // Files write −1, as an unsigned number too, for a role that no token has.
  return id >= 0 && id < vocabulary ? id : undefined;
}

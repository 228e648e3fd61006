// tokenizer.json, checked: whatever is damaged or of an unknown kind is refused here.

import { UnsupportedError } from "../errors.ts";
import { AddedTokens, type AddedToken, addedTokens, missingTokens } from "./added.ts";
import { type Fields, fieldsOf, listOf } from "./fields.ts";
import { type Frame, frameOf } from "./frame.ts";
import { BytePairs } from "./models/bpe.ts";
import type { Model } from "./models/model.ts";
import { type Normalize, normalizerOf } from "./normalize.ts";
import { type DecodeRules, decodeRules } from "./pieces.ts";
import { type Split, splitOf } from "./split.ts";

/** The files of a Hugging Face tokenizer, parsed. */
export interface TokenizerFiles {
  /** tokenizer.json */
  json: unknown;
  /** tokenizer_config.json; `{}` where there is none. */
  config: Record<string, unknown>;
  /** added_tokens.json: ids by text, of tokens that tokenizer.json may lack. */
  added?: Record<string, unknown>;
}

/** The stages that a text goes through, in this order. */
export interface Stages {
  /** Found in the text as it is. */
  literal: AddedTokens;
  normalize: Normalize;
  /** Found in normalised text. */
  normalized: AddedTokens;
  split: Split;
  model: Model;
  frame: Frame;
}

export interface CheckedTokenizer {
  stages: Stages;
  /** Text of every token by id, and the other way round: vocabulary and added tokens. */
  pieces: ReadonlyMap<number, string>;
  ids: ReadonlyMap<string, number>;
  added: ReadonlyMap<number, AddedToken>;
  decode: DecodeRules;
}

/**
 * Checks tokenizer.json; `Kind` of the type that `typeOf` finds. Errors: ModelError if damaged, UnsupportedError for members this engine does
 * not know.
 */
export function checkTokenizer(files: TokenizerFiles, Kind: ModelKind): CheckedTokenizer {
  const { json: source, config, added: further = {} } = files;
  const root = fieldsOf(source, "the file");
  const model = new Kind(modelOf(root));
  const listed = listOf(root["added_tokens"] ?? [], "added_tokens");
  const tokens = addedTokens([...listed, ...missingTokens(further, listed, config)]);
  const ids = new Map([...model.vocabulary, ...tokens.map(({ content, id }) => [content, id] as const)]);
  const normalize = normalizerOf(root["normalizer"]);
  refuseMovedStart(root);
  const stages = {
    literal: new AddedTokens(
      tokens.filter(({ normalized }) => !normalized),
      (text) => text,
    ),
    normalize,
    normalized: new AddedTokens(
      tokens.filter(({ normalized }) => normalized),
      normalize,
    ),
    split: splitOf(root["pre_tokenizer"]),
    model,
    frame: frameOf(root["post_processor"], (token) => ids.get(token) ?? null),
  };
  const texts = [...model.vocabulary].map(([text, id]) => [id, text] as const);
  return {
    stages,
    pieces: new Map([...texts, ...tokens.map(({ id, content }) => [id, content] as const)]),
    ids,
    added: new Map(tokens.map((token) => [token.id, token])),
    decode: decodeRules(root["decoder"] ?? null),
  };
}

/**
 * A mark before a text's first word only, where what begins the text may go before: the reference then writes none, and
 * which characters went is not kept here.
 */
function refuseMovedStart({ normalizer, pre_tokenizer: splits }: Fields): void {
  const says = (value: unknown, pattern: RegExp): boolean => pattern.test(JSON.stringify(value) ?? "");
  if (says(splits, /"prepend_scheme":"first"/) && says(normalizer, /"strip_left":true|"BertNormalizer"/))
    throw new UnsupportedError(
      "tokenizer.json: Metaspace with prepend_scheme first after a normalizer that strips; want another scheme. Use another model.",
    );
}

const modelOf = (root: Fields): Fields => fieldsOf(root["model"], "model");

export type ModelKind = new (model: Fields) => Model;

/** The type of the model in tokenizer.json. Files of an older kind do not name it. */
export function typeOf({ json }: TokenizerFiles): unknown {
  const model = modelOf(fieldsOf(json, "the file"));
  return model["type"] ?? ("merges" in model ? "BPE" : "none");
}

/** Models of a type; rare ones are fetched. */
export async function kindOf(type: unknown): Promise<ModelKind> {
  if (type === "BPE") return BytePairs;
  const { OTHERS } = await import("./models/others.ts");
  const Kind = typeof type === "string" && Object.hasOwn(OTHERS, type) ? OTHERS[type] : undefined;
  if (Kind) return Kind;
  throw new UnsupportedError(
    `tokenizer.json: the model is ${String(type).slice(0, 60)}, want BPE, Unigram, WordLevel or WordPiece. Use another model.`,
  );
}

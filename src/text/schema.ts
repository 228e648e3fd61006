// tokenizer.json, checked: whatever is damaged or of an unknown kind is refused here, before the library sees it.

import { UnsupportedError } from "../errors.ts";
import { type Fields, fail, fieldsOf, isFields, listOf, nameOf } from "./fields.ts";
import { type DecodeRules, decodeRules } from "./pieces.ts";
import { type Merge, checkPattern, cutAtMarks, rewritePreTokenizer } from "./split.ts";

/** The files of a Hugging Face tokenizer, parsed. */
export interface TokenizerFiles {
  /** tokenizer.json */
  json: unknown;
  /** tokenizer_config.json; `{}` where there is none. */
  config: Record<string, unknown>;
  /** added_tokens.json: ids by text, of tokens that tokenizer.json may lack. */
  added?: Record<string, unknown>;
}

export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
}

export interface CheckedTokenizer {
  /** For the library's constructor. */
  json: Record<string, unknown>;
  /** Text of every token by id: vocabulary and added tokens. */
  pieces: ReadonlyMap<number, string>;
  added: ReadonlyMap<number, AddedToken>;
  decode: DecodeRules;
}

/** Ids above this are damage, not vocabulary. */
const MAX_ID = 2 ** 22;
/** Sequences of sequences of … deeper than this are damage. */
const MAX_DEPTH = 8;

function idOf(value: unknown, where: string): number {
  const valid = typeof value === "number" && Number.isInteger(value) && value >= 0 && value < MAX_ID;
  return valid
    ? value
    : fail(`id of ${where} is ${typeof value === "number" ? value : nameOf(value)}, want an integer`);
}

/** Checks tokenizer.json. Errors: ModelError if damaged, UnsupportedError for members this engine does not know. */
export function checkTokenizer({ json: source, config, added: further = {} }: TokenizerFiles): CheckedTokenizer {
  const root = fieldsOf(source, "the file");
  const { model, pieces, merges } = checkModel(fieldsOf(root["model"], "model"));
  const tokens = listOf(root["added_tokens"] ?? [], "added_tokens");
  const list = [...tokens, ...missingTokens(further, tokens, config)];
  const added = checkAdded(list);
  for (const token of added.values()) pieces.set(token.id, token.content);
  const json = {
    normalizer: component(root["normalizer"] ?? null, NORMALIZERS, 0),
    pre_tokenizer: cutAtMarks(component(root["pre_tokenizer"] ?? null, PRE_TOKENIZERS, 0), model, merges),
    post_processor: component(root["post_processor"] ?? null, POST_PROCESSORS, 0),
    decoder: null,
    added_tokens: list,
    model,
  };
  return { json, pieces, added, decode: decodeRules(root["decoder"] ?? null) };
}

function checkModel(model: Fields): { model: Fields; pieces: Map<number, string>; merges: readonly Merge[] } {
  const type = model["type"] ?? ("merges" in model ? "BPE" : undefined);
  if (type !== "BPE") {
    throw new UnsupportedError(
      `tokenizer.json: the model is ${String(type)}, want BPE. Use a model with a BPE tokenizer.`,
    );
  }
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[key]) throw new UnsupportedError(`tokenizer.json: model.${key} is set, want none. Use another model.`);
  }
  const unknown = model["unk_token"] ?? undefined;
  if (unknown !== undefined && typeof unknown !== "string")
    fail(`model.unk_token is ${nameOf(unknown)}, want a string`);
  const pieces = new Map<number, string>();
  const vocabulary = fieldsOf(model["vocab"], "model.vocab");
  for (const [piece, id] of Object.entries(vocabulary)) pieces.set(idOf(id, JSON.stringify(piece)), piece);
  if (pieces.size === 0) fail("model.vocab is empty");
  const merges = listOf(model["merges"], "model.merges").map(checkMerge);
  return { model: { ...model, type, unk_token: unknown, merges }, pieces, merges };
}

function checkMerge(merge: unknown, index: number): [string, string] {
  const pair: unknown[] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
  const [left, right] = pair;
  if (pair.length === 2 && typeof left === "string" && typeof right === "string") return [left, right];
  return fail(`model.merges[${index}] is ${JSON.stringify(merge)?.slice(0, 60)}, want two pieces`);
}

/** The tokens of added_tokens.json that `tokens` lacks, as transformers adds them: special where the config names them. */
function missingTokens(further: Fields, tokens: readonly unknown[], config: unknown): Fields[] {
  const known = new Set(tokens.map((token) => (isFields(token) ? token["content"] : null)));
  const values = isFields(config) ? Object.values(config).flat() : []; // whatever else it is, is refused by its reader
  const named = new Set(values.map((value) => (isFields(value) ? value["content"] : value)));
  return Object.entries(further)
    .filter(([content]) => !known.has(content))
    .map(([content, id]) => {
      const special = named.has(content);
      return { id, content, special, normalized: !special, single_word: false, lstrip: false, rstrip: false };
    });
}

function checkAdded(list: readonly unknown[]): Map<number, AddedToken> {
  const added = new Map<number, AddedToken>();
  for (const [index, value] of list.entries()) {
    const token = fieldsOf(value, `added_tokens[${index}]`);
    const content = token["content"];
    if (typeof content !== "string" || content === "") return fail(`added_tokens[${index}].content is not a string`);
    const id = idOf(token["id"], `added token ${JSON.stringify(content)}`);
    added.set(id, { id, content, special: token["special"] === true });
  }
  return added;
}

/** A stage of the tokenizer: the types it may have, the field in which a Sequence keeps its members, and the rewrites. */
interface Stage {
  name: string;
  members: string;
  types: readonly string[];
  rewrite: (fields: Fields, type: string) => Fields;
}

const NORMALIZERS: Stage = {
  name: "normalizer",
  members: "normalizers",
  types: ["Replace", "Prepend", "NFC", "NFD", "NFKC", "NFKD", "Strip", "StripAccents", "Lowercase"],
  rewrite: (fields, type) => {
    if (type === "Replace") checkPattern(fields);
    if (type === "Prepend" && typeof fields["prepend"] !== "string") fail("normalizer Prepend has no text to prepend");
    return fields;
  },
};

const PRE_TOKENIZERS: Stage = {
  name: "pre_tokenizer",
  members: "pretokenizers",
  types: ["ByteLevel", "Split", "Digits", "Metaspace", "Whitespace", "WhitespaceSplit", "Punctuation"],
  rewrite: rewritePreTokenizer,
};

const POST_PROCESSORS: Stage = {
  name: "post_processor",
  members: "processors",
  types: ["TemplateProcessing", "ByteLevel"],
  rewrite: (fields, type) => {
    if (type === "TemplateProcessing") {
      for (const item of listOf(fields["single"], "post_processor.single")) checkTemplateItem(item);
    }
    return fields;
  },
};

function component(value: unknown, stage: Stage, depth: number): Fields | null {
  if (value === null) return null;
  const fields = fieldsOf(value, stage.name);
  const type = fields["type"];
  if (typeof type !== "string") return fail(`${stage.name} has no type`);
  if (depth > MAX_DEPTH) return fail(`${stage.name} is nested deeper than ${MAX_DEPTH}`);
  if (type === "Sequence") {
    const members = listOf(fields[stage.members], `${stage.name}.${stage.members}`);
    return { type, [stage.members]: members.map((member) => component(member, stage, depth + 1)) };
  }
  if (stage.types.includes(type)) return stage.rewrite(fields, type);
  throw new UnsupportedError(
    `tokenizer.json: ${stage.name} ${JSON.stringify(type.slice(0, 60))}; want one of Sequence, ${stage.types.join(", ")}. Use another model.`,
  );
}

function checkTemplateItem(item: unknown): void {
  const fields = fieldsOf(item, "post_processor.single[…]");
  const entry = fieldsOf(fields["SpecialToken"] ?? fields["Sequence"], "post_processor.single[…]");
  if (typeof entry["id"] !== "string") fail("post_processor.single has an entry without id");
}

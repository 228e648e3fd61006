// The tokens that a model wants around a text: the post-processors of tokenizer.json.

import { UnsupportedError } from "../errors.ts";
import { type Fields, fail, fieldsOf, listOf } from "./fields.ts";
import { idOf } from "./models/vocabulary.ts";

/** Puts tokens around those of a text. */
export type Frame = (ids: readonly number[]) => number[];

/** The id of a token by its text. */
type Lookup = (token: string) => number | null;

/** Sequences of sequences of … deeper than this are damage. */
const MAX_DEPTH = 8;
const KINDS = "Sequence, TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel";

/** `value`: the `post_processor` of tokenizer.json. Errors: ModelError, UnsupportedError. */
export function frameOf(value: unknown, lookup: Lookup, depth = 0): Frame {
  if (value === null || value === undefined) return (ids) => [...ids];
  const fields = fieldsOf(value, "post_processor");
  if (depth > MAX_DEPTH) return fail(`post_processor is nested deeper than ${MAX_DEPTH}`);
  switch (fields["type"]) {
    case "Sequence": {
      const members = listOf(fields["processors"], "post_processor.processors");
      const frames = members.map((member) => frameOf(member, lookup, depth + 1));
      return (ids) => frames.reduce((framed, frame) => frame(framed), [...ids]);
    }
    case "ByteLevel": // moves offsets only
      return (ids) => [...ids];
    case "TemplateProcessing":
      return template(fields, lookup);
    case "BertProcessing":
    case "RobertaProcessing": {
      const [first, last] = [idIn(fields["cls"], "cls"), idIn(fields["sep"], "sep")];
      return (ids) => [first, ...ids, last];
    }
    default:
      return unknown(fields);
  }
}

function unknown(fields: Fields): never {
  if (typeof fields["type"] !== "string") return fail("post_processor has no type");
  const name = JSON.stringify(fields["type"].slice(0, 60));
  throw new UnsupportedError(`tokenizer.json: post_processor ${name}; want one of ${KINDS}. Use another model.`);
}

/** A token written as [text, id]. */
function idIn(pair: unknown, name: string): number {
  return idOf(listOf(pair, `post_processor.${name}`)[1], `post_processor.${name}`);
}

/** `single` lists tokens and, as a Sequence, the text. */
function template(fields: Fields, lookup: Lookup): Frame {
  const tokens = fieldsOf(fields["special_tokens"] ?? {}, "post_processor.special_tokens");
  const items = listOf(fields["single"], "post_processor.single").map((item) => {
    const entry = fieldsOf(item, "post_processor.single[…]");
    return "Sequence" in entry
      ? null
      : tokensOf(fieldsOf(entry["SpecialToken"], "post_processor.single[…]"), tokens, lookup);
  });
  return (ids) => items.flatMap((item) => item ?? ids);
}

/** The ids that the file gives to a token of a template; where it says nothing, the vocabulary's. */
function tokensOf(item: Fields, tokens: Fields, lookup: Lookup): number[] {
  const name = item["id"];
  if (typeof name !== "string") return fail("post_processor.single has an entry without id");
  const token = tokens[name];
  if (token !== undefined) {
    const ids = listOf(fieldsOf(token, "post_processor.special_tokens")["ids"], "post_processor.special_tokens ids");
    return ids.map((id) => idOf(id, name));
  }
  return [lookup(name) ?? fail(`post_processor needs ${JSON.stringify(name.slice(0, 60))}, which is no token`)];
}

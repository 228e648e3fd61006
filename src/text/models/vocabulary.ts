// The vocabulary of a model in tokenizer.json, checked.

import { fail, fieldsOf, nameOf } from "../fields.ts";
import type { Vocabulary } from "./model.ts";

/** Ids above this are damage, not vocabulary. */
const MAX_ID = 2 ** 22;

export function idOf(value: unknown, where: string): number {
  const valid = typeof value === "number" && Number.isInteger(value) && value >= 0 && value < MAX_ID;
  return valid
    ? value
    : fail(`id of ${where} is ${typeof value === "number" ? value : nameOf(value)}, want an integer`);
}

/** `vocab`: ids by text. Errors: ModelError. */
export function vocabularyOf(vocab: unknown): Vocabulary {
  const entries = Object.entries(fieldsOf(vocab, "model.vocab"));
  if (entries.length === 0) fail("model.vocab is empty");
  return new Map(entries.map(([text, id]) => [text, idOf(id, JSON.stringify(text))]));
}

/** The id of `token`; undefined where the model has none. Errors: ModelError if the vocabulary lacks it. */
export function unknownOf(token: unknown, vocabulary: Vocabulary): number | undefined {
  if (token === null || token === undefined) return undefined;
  if (typeof token !== "string") return fail(`model.unk_token is ${nameOf(token)}, want a string`);
  return vocabulary.get(token) ?? fail(`model.unk_token ${JSON.stringify(token.slice(0, 60))} is not in model.vocab`);
}

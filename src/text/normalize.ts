// Text as the vocabulary spells it: the normalisers of tokenizer.json, as the reference (the Rust library) has them.

import { UnsupportedError } from "../errors.ts";
import { toAlphabet } from "./alphabet.ts";
import { type Fields, fail, fieldsOf, listOf } from "./fields.ts";
import { patternOf } from "./pattern.ts";

export type Normalize = (text: string) => string;

/** Sequences of sequences of … deeper than this are damage. */
const MAX_DEPTH = 8;
const KINDS =
  "Sequence, Replace, Prepend, NFC, NFD, NFKC, NFKD, Strip, StripAccents, Lowercase, ByteLevel, BertNormalizer";

/** `value`: the `normalizer` of tokenizer.json. Errors: ModelError, UnsupportedError. */
export function normalizerOf(value: unknown, depth = 0): Normalize {
  if (value === null || value === undefined) return (text) => text;
  const fields = fieldsOf(value, "normalizer");
  if (depth > MAX_DEPTH) return fail(`normalizer is nested deeper than ${MAX_DEPTH}`);
  switch (fields["type"]) {
    case "Sequence": {
      const steps = listOf(fields["normalizers"], "normalizer.normalizers").map((each) =>
        normalizerOf(each, depth + 1),
      );
      return (text) => steps.reduce((changed, step) => step(changed), text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return unicodeForm(fields["type"]);
    case "Lowercase":
      return lowercase;
    case "StripAccents":
      return (text) => text.replace(/\p{M}/gu, "");
    case "Strip":
      return strip(fields);
    case "Replace":
      return replace(fields);
    case "Prepend":
      return prepend(fields);
    case "ByteLevel":
      return toAlphabet;
    case "BertNormalizer":
      return bert(fields);
    default:
      return unknown(fields);
  }
}

function unknown(fields: Fields): never {
  if (typeof fields["type"] !== "string") return fail("normalizer has no type");
  const name = JSON.stringify(fields["type"].slice(0, 60));
  throw new UnsupportedError(`tokenizer.json: normalizer ${name}; want one of ${KINDS}. Use another model.`);
}

const unicodeForm =
  (form: string): Normalize =>
  (text) =>
    text.normalize(form);

/** Each character by itself: a sigma at a word's end is as any other. */
const lowercase: Normalize = (text) =>
  /^[\0-\x7f]*$/.test(text) ? text.toLowerCase() : Array.from(text, (character) => character.toLowerCase()).join("");

function strip(fields: Fields): Normalize {
  const left = fields["strip_left"] === true ? "^\\p{White_Space}+" : "(?!)";
  const right = fields["strip_right"] === true ? "\\p{White_Space}+$" : "(?!)";
  const [start, end] = [new RegExp(left, "u"), new RegExp(right, "u")];
  return (text) => text.replace(start, "").replace(end, "");
}

function replace(fields: Fields): Normalize {
  const pattern = patternOf(fields);
  const content = fields["content"];
  if (typeof content !== "string") return fail("normalizer Replace has no content");
  return (text) => text.replace(pattern, () => content);
}

function prepend(fields: Fields): Normalize {
  const start = fields["prepend"];
  if (typeof start !== "string") return fail("normalizer Prepend has no text to prepend");
  return (text) => (text === "" ? "" : start + text);
}

/** Han as BERT counts it: ideographs and those for compatibility, no kana. */
const HAN =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
const CONTROL = /[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu;

function bert(fields: Fields): Normalize {
  const flag = (name: string, otherwise: boolean): boolean => (fields[name] ?? otherwise) === true;
  const steps: Normalize[] = [];
  if (flag("clean_text", true)) steps.push((text) => text.replace(CONTROL, "").replace(/\p{White_Space}/gu, " "));
  if (flag("handle_chinese_chars", true)) steps.push((text) => text.replace(HAN, " $& "));
  if (flag("strip_accents", flag("lowercase", true)))
    steps.push((text) => text.normalize("NFD").replace(/\p{Mn}/gu, ""));
  if (flag("lowercase", true)) steps.push(lowercase);
  return (text) => steps.reduce((changed, step) => step(changed), text);
}

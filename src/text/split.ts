// How text is cut into words before the model sees it: the pre-tokenisers of tokenizer.json, as the reference (the Rust
// library) cuts.

import { UnsupportedError } from "../errors.ts";
import { toAlphabet } from "./alphabet.ts";
import { type Fields, fail, fieldsOf, listOf } from "./fields.ts";
import { patternOf } from "./pattern.ts";
import { regexOf } from "./regex/regex.ts";

/** A part of a text. `first`: the text begins with it. */
export interface Part {
  text: string;
  first: boolean;
}

/** Cuts a part, which is not empty, into others that are not. */
export type Split = (part: Part) => Part[];

/** How GPT-2 splits text before byte-pair encoding. */
export const GPT2_SPLIT = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;
const SPACE = /\p{White_Space}/gu;
const WORDS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;

/** Sequences of sequences of … deeper than this are damage. */
const MAX_DEPTH = 8;
const KINDS =
  "Sequence, ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation, BertPreTokenizer, CharDelimiterSplit, FixedLength";

/** `value`: the `pre_tokenizer` of tokenizer.json. Errors: ModelError, UnsupportedError. */
export function splitOf(value: unknown, depth = 0): Split {
  if (value === null || value === undefined) return (part) => [part];
  const fields = fieldsOf(value, "pre_tokenizer");
  if (depth > MAX_DEPTH) return fail(`pre_tokenizer is nested deeper than ${MAX_DEPTH}`);
  switch (fields["type"]) {
    case "Sequence": {
      const members = listOf(fields["pretokenizers"], "pre_tokenizer.pretokenizers");
      return inTurn(members.map((member) => splitOf(member, depth + 1)));
    }
    case "ByteLevel":
      return byteLevel(fields);
    case "Split":
      return cut(patternOf(fields), behaviorOf(fields), fields["invert"] === true);
    case "Digits":
      return cut(/\p{N}/gu, fields["individual_digits"] === true ? "Isolated" : "Contiguous");
    case "Metaspace":
      return metaspace(fields);
    case "Whitespace":
      return cut(WORDS, "Removed", true);
    case "WhitespaceSplit":
      return cut(SPACE, "Removed");
    case "Punctuation":
      return cut(PUNCTUATION, behaviorOf({ behavior: "Isolated", ...fields }));
    case "BertPreTokenizer":
      return inTurn([cut(SPACE, "Removed"), cut(PUNCTUATION, "Isolated")]);
    case "CharDelimiterSplit":
      return cut(patternOf({ pattern: { String: fields["delimiter"] } }), "Removed");
    case "FixedLength":
      return fixedLength(fields["length"] ?? 5);
    default:
      return unknown(fields);
  }
}

function unknown(fields: Fields): never {
  if (typeof fields["type"] !== "string") return fail("pre_tokenizer has no type");
  const name = JSON.stringify(fields["type"].slice(0, 60));
  throw new UnsupportedError(`tokenizer.json: pre_tokenizer ${name}; want one of ${KINDS}. Use another model.`);
}

const inTurn =
  (splits: readonly Split[]): Split =>
  (part) =>
    splits.reduce((parts, split) => parts.flatMap(split), [part]);

function byteLevel(fields: Fields): Split {
  const words = fields["use_regex"] === false ? null : cut(regexOf(GPT2_SPLIT), "Isolated");
  const prefix = fields["add_prefix_space"] === true;
  return (part) => {
    const whole = prefix && !part.text.startsWith(" ") ? { ...part, text: ` ${part.text}` } : part;
    const parts = words ? words(whole) : [whole];
    return parts.map(({ text, first }) => ({ text: toAlphabet(text), first }));
  };
}

function metaspace(fields: Fields): Split {
  const mark = fields["replacement"] ?? "\u2581";
  if (typeof mark !== "string" || Array.from(mark).length !== 1)
    return fail("pre_tokenizer Metaspace has no replacement of one character");
  const scheme = fields["prepend_scheme"] ?? "always";
  if (scheme !== "always" && scheme !== "first" && scheme !== "never")
    return fail("pre_tokenizer Metaspace has no known prepend_scheme");
  const words = fields["split"] === false ? null : cut(patternOf({ pattern: { String: mark } }), "MergedWithNext");
  return ({ text, first }) => {
    const marked = text.replaceAll(" ", mark);
    const prefixed = !marked.startsWith(mark) && (scheme === "always" || (scheme === "first" && first));
    const part = { text: prefixed ? mark + marked : marked, first };
    return words ? words(part) : [part];
  };
}

function fixedLength(length: unknown): Split {
  if (typeof length !== "number" || !Number.isInteger(length) || length < 1)
    return fail("pre_tokenizer FixedLength has no length");
  return cut(new RegExp(`[^]{1,${length}}`, "gu"), "Isolated");
}

const BEHAVIORS = ["Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"] as const;
type Behavior = (typeof BEHAVIORS)[number];

const behaviorOf = (fields: Fields): Behavior =>
  BEHAVIORS.find((name) => name === fields["behavior"]) ?? fail("a Split has no known behavior");

/** A run of the text that matches, or lies between matches. */
interface Run {
  start: number;
  end: number;
  matches: boolean;
}

/** Cuts at what `pattern` finds; `invert`: at what it leaves. */
function cut(pattern: RegExp, behavior: Behavior, invert = false): Split {
  return ({ text, first }) => {
    const runs = runsOf(text, pattern);
    if (invert) for (const run of runs) run.matches = !run.matches;
    return arranged(runs, behavior)
      .filter(({ start, end }) => start < end)
      .map(({ start, end }) => ({ text: text.slice(start, end), first: first && start === 0 }));
  };
}

/**
 * The whole text in order. An empty match right after another one does not count, nor one inside a character: the V8 of
 * Node 20 finds such, of lookbehinds and \B.
 */
function runsOf(text: string, pattern: RegExp): Run[] {
  const runs: Run[] = [];
  let end = 0;
  for (const { index, 0: found } of text.matchAll(pattern)) {
    if (found === "" && ((index === end && index > 0) || isInside(text, index))) continue;
    if (index > end) runs.push({ start: end, end: index, matches: false });
    end = index + found.length;
    runs.push({ start: index, end, matches: true });
  }
  if (end < text.length) runs.push({ start: end, end: text.length, matches: false });
  return runs;
}

/** Whether the place is between the two halves of a character. */
const isInside = (text: string, index: number): boolean => (text.codePointAt(index - 1) ?? 0) > 0xffff;

function arranged(runs: Run[], behavior: Behavior): Run[] {
  switch (behavior) {
    case "Isolated":
      return runs;
    case "Removed":
      return runs.filter(({ matches }) => !matches);
    case "Contiguous":
      return joined(runs, (run, before) => run.matches === before);
    case "MergedWithPrevious":
      return joined(runs, (run, before) => run.matches && !before);
    case "MergedWithNext":
      return joined(runs.toReversed(), (run, before) => run.matches && !before).toReversed();
  }
}

/** Joins a run to the one before where `joins` says so; `before`: whether that one, by itself, matches. */
function joined(runs: readonly Run[], joins: (run: Run, before: boolean) => boolean): Run[] {
  const result: Run[] = [];
  let before = false;
  for (const run of runs) {
    const last = result.at(-1);
    if (last && joins(run, before)) {
      last.start = Math.min(last.start, run.start);
      last.end = Math.max(last.end, run.end);
    } else result.push({ ...run });
    before = run.matches;
  }
  return result;
}

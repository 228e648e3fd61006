// Sets of characters: what Oniguruma means by \w, [[:punct:]] or \p{Han}, in terms of JavaScript's Unicode sets (flag v).

import { UnsupportedError } from "../../errors.ts";

/** Refuses a pattern, naming the construct. */
export const refuse = (construct: string): never => {
  throw new UnsupportedError(
    `tokenizer.json: a regular expression holds ${construct}, which is not known here. Use another model.`,
  );
};

const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
/** Outside of classes, a word has the numbers of Latin-1 too: ² ³ ¹ ¼ ½ ¾. */
const WORD_OUTSIDE = `${WORD}\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}`;
const SPACE = "\\p{White_Space}";
const DIGIT = "\\p{Nd}";
const HEX = "0-9A-Fa-f";

/** Letters after a backslash that stand for sets; capitals for what is outside. */
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["w", `[${WORD}]`],
  ["W", `[^${WORD}]`],
  ["s", `[${SPACE}]`],
  ["S", `[^${SPACE}]`],
  ["d", `[${DIGIT}]`],
  ["D", `[^${DIGIT}]`],
  ["h", `[${HEX}]`],
  ["H", `[^${HEX}]`],
]);

/** Names in [[:name:]] and, spelt in any case, in \p{name}. */
const POSIX: ReadonlyMap<string, string> = new Map([
  ["alnum", "[\\p{Alphabetic}\\p{Nd}]"],
  ["alpha", "[\\p{Alphabetic}]"],
  ["ascii", "[\\0-\\x7f]"],
  ["blank", "[\\t\\p{Zs}]"],
  ["cntrl", "[\\p{Cc}]"],
  ["digit", `[${DIGIT}]`],
  ["lower", "[\\p{Lowercase}]"],
  ["punct", "[\\p{P}\\p{S}]"],
  ["space", `[${SPACE}]`],
  ["upper", "[\\p{Uppercase}]"],
  ["word", `[${WORD}]`],
  ["xdigit", `[${HEX}]`],
]);

export const escapedSet = (letter: string): string | undefined => ESCAPES.get(letter);

/** A set as it is outside of a class. */
export const outside = (set: string): string =>
  set === `[${WORD}]` ? `[${WORD_OUTSIDE}]` : set === `[^${WORD}]` ? `[^${WORD_OUTSIDE}]` : set;

export function posixSet(name: string, negated: boolean): string {
  const set = POSIX.get(name) ?? refuse(`[:${name}:]`);
  return negated ? `[^${set}]` : set;
}

/** \p{name}: a category, a property or a script. */
export function propertySet(name: string, negated: boolean): string {
  const posix = name.toLowerCase() === "punct" ? "[\\p{P}]" : POSIX.get(name.toLowerCase());
  if (posix) return negated ? posix.replace("[", "[^") : posix;
  const p = negated ? "P" : "p";
  const spellings = [`\\${p}{${name}}`, `\\${p}{Script=${name}}`];
  return spellings.find(isProperty) ?? refuse(`\\p{${name.slice(0, 40)}}`);
}

function isProperty(text: string): boolean {
  try {
    return new RegExp(text, "v").flags === "v";
  } catch {
    return false;
  }
}

/** Between a character of a word and one outside. */
export const WORD_BOUNDARY = `(?:(?<=[${WORD_OUTSIDE}])(?![${WORD_OUTSIDE}])|(?<![${WORD_OUTSIDE}])(?=[${WORD_OUTSIDE}]))`;
export const NO_WORD_BOUNDARY = `(?:(?<=[${WORD_OUTSIDE}])(?=[${WORD_OUTSIDE}])|(?<![${WORD_OUTSIDE}])(?![${WORD_OUTSIDE}]))`;

/** One character as it may stand anywhere in a pattern, in a class too. */
export const literal = (character: string): string =>
  /[A-Za-z0-9]/.test(character) ? character : `\\u{${character.codePointAt(0)!.toString(16)}}`;

/** A character in a class where case does not count. */
export function foldedLiteral(character: string): string {
  if (character > "\x7f") return refuse("(?i) with characters outside ASCII");
  const lower = character.toLowerCase();
  if (lower === character.toUpperCase()) return literal(character);
  // Two letters outside ASCII have a partner inside: long s and the Kelvin sign.
  const further = lower === "s" ? "\\u{17f}" : lower === "k" ? "\\u{212a}" : "";
  return `${lower}${lower.toUpperCase()}${further}`;
}

/** Texts of two letters that are one character in another case, such as ss and ß. */
export const foldsTogether = (letters: string): boolean => /ss|ff|fi|fl|st/i.test(letters);

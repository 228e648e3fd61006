// Patterns of Oniguruma in JavaScript: what they match (as the reference finds it), and what is refused.

import { expect, test } from "playwright/test";
import { UnsupportedError } from "../../src/errors.ts";
import { regexOf } from "../../src/text/regex/regex.ts";

const found = (pattern: string, text: string): string[] =>
  Array.from(text.matchAll(regexOf(pattern)), ([match]) => match).filter((match) => match !== "");

const CASES: readonly (readonly [pattern: string, text: string, matches: readonly string[]])[] = [
  // A possessive quantifier gives nothing back.
  ["a++a|b", "aaab", ["b"]],
  ["a*+a|b", "aab", ["b"]],
  ["\\s++$|x", "a \n x ", ["x", " "]],
  ["(?>a|ab)c|b", "abc", ["b"]],
  ["a?+ab|ab", "ab", ["ab"]],
  // Of an interval it is not one: it repeats the interval.
  ["[0-9]{1,3}+5", "12345", ["12345"]],
  ["(?:(?>[ab]+)c)++|b", "abcbcab", ["abcbc", "b"]],
  // Where nothing is tried twice, repetitions may be repeated.
  ["(?:(?>[ab]+)c)+|(?:a+){2}", "abcbcaa", ["abcbc", "aa"]],
  // Classes.
  ["[[:upper:]&&[^A-C]]+", "ABCDE", ["DE"]],
  ["[^\\s[!?]]+", "a!b c?", ["a", "b", "c"]],
  ["[\\w&&[^\\d_]]+", "a1_b²", ["a", "b"]],
  ["[[:punct:]]+|\\p{Punct}+", "a$!b", ["$!"]],
  ["\\p{Punct}+", "$!", ["!"]],
  ["\\w+", "x² ¾", ["x²", "¾"]],
  ["[a\\-z]+", "a-zb", ["a-z"]],
  // Case.
  ["'(?i:[sdmt]|ll|ve|re)", "'S 'll 'Ve 'ſ 'x", ["'S", "'ll", "'Ve", "'ſ"]],
  ["a(?i)b|c", "aB aC AB", ["aB", "aC"]],
  // Lines, numbers, characters.
  ["^a|b$", "a\na b\n", ["a", "a", "b"]],
  ["\\A.|.\\z", "a\nb", ["a", "b"]],
  ["\\h{2,}", "fg 1aG", ["1a"]],
  ["\\x41\\u0042\\x{1F600}", "AB😀", ["AB😀"]],
  ["\\p{^L}{,2}\\p{Han}", "12河", ["12河"]],
  ["x{2,1", "x{2,1", ["x{2,1"]],
  ["\\d(?=\\p{L})|(?<!\\d)\\.", "1a 2. .", ["1", "."]],
];

for (const [pattern, text, matches] of CASES) {
  test(`${pattern} in ${JSON.stringify(text)}`, () => {
    expect(found(pattern, text)).toEqual(matches);
  });
}

const REFUSED = [
  ["(a)\\1", "\\1"],
  ["(?<n>a)\\k<n>", "\\k"],
  ["\\Ga", "\\G"],
  ["a\\Kb", "\\K"],
  ["\\R", "\\R"],
  ["\\X", "\\X"],
  ["(?x: a )", "(?x:"],
  ["(?m:.)", "(?m:"],
  ["(?(1)a|b)", "(?(1"],
  ["(?<=a++)b", "an atomic group in a lookbehind"],
  ["(?i:né)", "(?i) with characters outside ASCII"],
  ["(?i:\\p{Lu})", "(?i) with a set"],
  ["(?i:off)", "(?i) with ff"],
  ["\\p{Nonsense}", "\\p{Nonsense}"],
  ["[a-\\d]", "a range that ends in a set"],
  ["a{2}?", "{2}?"],
  ["(a+)+b", "alternatives or a repetition inside a repetition, unless it is atomic"],
  ["(?:a|b){2,}c", "alternatives or a repetition inside a repetition, unless it is atomic"],
  ["(?:x\\s*)*", "alternatives or a repetition inside a repetition, unless it is atomic"],
  ["*a", "a quantifier that repeats nothing"],
  ["(a", "a ( without )"],
  ["a)", "a ) without ("],
  ["[a", "a \\ or [ at its end"],
] as const;

for (const [pattern, construct] of REFUSED) {
  test(`refused by name: ${pattern}`, () => {
    expect(() => regexOf(pattern)).toThrow(UnsupportedError);
    expect(() => regexOf(pattern)).toThrow(`${construct}, which is not known`);
  });
}

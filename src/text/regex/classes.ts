// Classes of characters, [...]: unions, ranges, nested classes and intersections, as sets of JavaScript's flag v.

import type { Reader } from "./reader.ts";
import { foldedLiteral, literal, posixSet, refuse } from "./sets.ts";

const MAX_DEPTH = 16;

/** The class after its [. `fold`: case does not count. */
export function readClass(reader: Reader, fold: boolean, depth = 0): string {
  if (depth > MAX_DEPTH) return refuse(`classes deeper than ${MAX_DEPTH}`);
  const negated = reader.take("^");
  const operands: string[][] = [[]];
  if (reader.sees("]")) return refuse("an empty class");
  while (!reader.take("]")) {
    if (reader.take("&&")) operands.push([]);
    else operands.at(-1)!.push(readItem(reader, fold, depth));
  }
  if (operands.some((items) => items.length === 0)) return refuse("an intersection with nothing");
  const sets = operands.map((items) => items.join(""));
  const body = sets.length === 1 ? sets[0]! : sets.map((set) => `[${set}]`).join("&&");
  return `[${negated ? "^" : ""}${body}]`;
}

function readItem(reader: Reader, fold: boolean, depth: number): string {
  const posix = reader.skip(/^\[:(\^?)([a-z]+):\]/);
  if (posix) return withoutFold(posixSet(posix[2]!, posix[1] === "^"), fold);
  if (reader.take("[")) return readClass(reader, fold, depth + 1);
  const set = reader.sees("\\") ? readSet(reader) : null;
  if (set) return withoutFold(set, fold);
  return readRange(reader, fold);
}

/** A set written with a backslash; null, and nothing read, if a character is. */
function readSet(reader: Reader): string | null {
  if (!/^\\(?:[wWsSdDhH]|[pP]\{)/.test(reader.rest)) return null;
  reader.take("\\");
  return reader.set();
}

function readRange(reader: Reader, fold: boolean): string {
  const first = readCharacter(reader);
  if (!/^-(?!\]|&&)/.test(reader.rest)) return fold ? foldedLiteral(first) : literal(first);
  if (/^-(?:\[|\\[wWsSdDhHpP])/.test(reader.rest)) return refuse("a range that ends in a set");
  reader.take("-");
  const last = readCharacter(reader);
  if (first.codePointAt(0)! > last.codePointAt(0)!) return refuse("a range that ends before it begins");
  return fold ? foldedRange(first, last) : `${literal(first)}-${literal(last)}`;
}

function readCharacter(reader: Reader): string {
  if (!reader.take("\\")) return reader.next();
  return reader.take("b") ? "\b" : reader.escapedCharacter();
}

function foldedRange(first: string, last: string): string {
  if (last > "\x7f") return refuse("(?i) with a range outside ASCII");
  const [from, to] = [first.codePointAt(0)!, last.codePointAt(0)!];
  return Array.from({ length: to - from + 1 }, (_, offset) => foldedLiteral(String.fromCodePoint(from + offset))).join(
    "",
  );
}

/** Spaces and digits have no case; of other sets it is not known here what they become. */
const withoutFold = (set: string, fold: boolean): string =>
  fold && !/^\[\\p\{(White_Space|Nd)\}\]$/.test(set) ? refuse("(?i) with a set") : set;

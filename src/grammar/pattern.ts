// Patterns of strings in a schema, so that whatever they allow is the inside of a JSON string.
import { InputError } from "../errors.ts";

/** Ends a negated class: what no JSON string has as it is. Last, because a digit after \x1F would be read as part of it. */
const CLOSED = String.raw`"\\\x00-\x1F`;

/** Characters that stand for themselves in JSON: no quote, no backslash, no controls. Only negated classes reach beyond ASCII. */
const PLAIN = String.raw`[^${CLOSED}]`;

/** What a pattern may consist of: escapes of single characters, classes of ASCII, groups without a name, other signs. */
const PIECE =
  /\\[dw]|\\[.^$*+?()[\]{}|/-]|\[\^?(?:\\[dw\-\]^[.+*?$/|(){}]|[ !#-Z^-~])+\]|\((?:\?:|(?!\?))|[^\\"([\p{Cc}]/uy;

/** Strings of `least` to `most` characters. */
export const lengthPattern = (least: number, most: number | null): string => `^${PLAIN}{${least},${most ?? ""}}$`;

/** The pattern with `.` and negated classes narrowed to plain characters. Throws InputError for what cannot be kept. */
export function plainPattern(pattern: string, path: string): string {
  const inside = pattern.replace(/^\^/, "").replace(/\$$/, "");
  let text = "";
  let at = 0;
  while (at < inside.length) {
    PIECE.lastIndex = at;
    const piece = PIECE.exec(inside)?.[0];
    if (piece === undefined || piece === "^" || piece === "$") throw wrong(path, pattern, inside.slice(at, at + 8));
    text += narrowed(piece);
    at += piece.length;
  }
  return `^${text}$`;
}

function narrowed(piece: string): string {
  if (piece === ".") return PLAIN;
  return piece.startsWith("[^") ? `${piece.slice(0, -1)}${CLOSED}]` : piece;
}

const wrong = (path: string, pattern: string, part: string): InputError =>
  new InputError(
    `${path}.pattern: ${JSON.stringify(pattern)}; got ${JSON.stringify(part)}, want characters, classes, groups, \\d, \\w and quantifiers. Simplify it, or check the reply yourself.`,
  );

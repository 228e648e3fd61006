// Numbers and texts as a template writes them.
import type { Token } from "./lexer.ts";
import { fail } from "./values.ts";

export function literalNumber({ kind, text }: Token): bigint | number {
  const digits = text.replaceAll("_", "");
  return kind === "integer" ? BigInt(digits) : Number(digits);
}

const ESCAPE = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([^]))/g;

const SHORT: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** Errors: TemplateFailure for an escape that Python refuses, or that names a character. */
export const literalText = ({ text, line }: Token): string =>
  text.slice(1, -1).replace(ESCAPE, (whole, x, u, long, octal, other) => {
    const hex: string | undefined = x ?? u ?? long;
    if (hex !== undefined && parseInt(hex, 16) <= 0x10ffff) return String.fromCodePoint(parseInt(hex, 16));
    if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8));
    if (hex !== undefined || /[xuUN]/.test(other)) return fail(`line ${line}: the escape ${whole} in a text`);
    return SHORT[other] ?? whole;
  });

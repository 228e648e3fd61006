// Classes of characters, as Python's str has them.

/** What str.isspace() holds for; JavaScript's \s differs. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const LEADING = new RegExp(`^[${SPACE}]+`);

export type Ends = "left" | "right" | "both";

/** strip(), lstrip() and rstrip(): of white space, or of any of `characters`. */
export function stripped(text: string, ends: Ends, characters: string | null): string {
  if (characters === null) {
    const left = ends === "right" ? text : text.replace(LEADING, "");
    return ends === "left" ? left : withoutTrailingSpace(left);
  }
  const all = [...text];
  const drop = new Set(characters);
  let [start, stop] = [0, all.length];
  if (ends !== "right") while (start < stop && drop.has(all[start]!)) start++;
  if (ends !== "left") while (stop > start && drop.has(all[stop - 1]!)) stop--;
  return all.slice(start, stop).join("");
}

const SPACES = new RegExp(`[${SPACE}]`);

/** In linear time, which a regular expression with `$` is not. */
function withoutTrailingSpace(text: string): string {
  let stop = text.length;
  while (stop > 0 && SPACES.test(text[stop - 1]!)) stop--;
  return text.slice(0, stop);
}

/** `keep`: the ends of lines stay. */
export function linesOf(text: string, keep: boolean): string[] {
  // oxlint-disable-next-line no-control-regex -- Python ends lines at these
  const parts = text.split(/(\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])/);
  const lines: string[] = [];
  for (let at = 0; at < parts.length; at += 2) lines.push(parts[at]! + (keep ? (parts[at + 1] ?? "") : ""));
  if (parts.at(-1) === "") lines.pop();
  return lines;
}

export const capitalised = (text: string): string => {
  const [first = "", ...rest] = text;
  return first.toUpperCase() + rest.join("").toLowerCase();
};

/** str.title(): a letter after anything that is no letter is a capital. */
export const titled = (text: string): string => text.replace(/\p{L}+/gu, capitalised);

/** len(): code points. */
export const charactersIn = (text: string): number => [...text].length;

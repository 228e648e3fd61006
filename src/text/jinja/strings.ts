// Methods of str.
import { builtin, type Builtin } from "./builtin.ts";
import { capitalised, charactersIn, type Ends, linesOf, SPACE, stripped, titled } from "./characters.ts";
import { centred, padded, toWidth } from "./format.ts";
import { Tuple, type Value, fail, isTrue, iterate, joinTexts, toIndex, toText } from "./values.ts";

type Method = (text: string) => Builtin;

const LIMITLESS = -1n;

const method = (
  name: string,
  parameters: string,
  apply: (text: string, ...rest: Value[]) => Value,
): [string, Method] => [name, (text) => builtin(name, parameters, (...values) => apply(text, ...values))];

const plain = (name: string, apply: (text: string) => Value): [string, Method] => method(name, "", apply);

const strip = (name: string, ends: Ends): [string, Method] =>
  method(name, "chars?", (text, chars = null) => stripped(text, ends, chars === null ? null : toText(chars, name)));

/** Whether all characters match and there is at least one. */
const every = (name: string, pattern: RegExp): [string, Method] => plain(name, (text) => pattern.test(text));

/** Whether there is a letter with case and none of the other case. */
const cased = (name: string, wrong: RegExp): [string, Method] =>
  plain(name, (text) => /[\p{Lu}\p{Ll}\p{Lt}]/u.test(text) && !wrong.test(text));

const affix = (name: string, test: (text: string, part: string) => boolean): [string, Method] =>
  method(name, "affix start? end?", (text, affixes, start = 0n, end = null) => {
    const part = slice(text, start, end);
    const parts = affixes instanceof Tuple ? affixes.items : [affixes];
    return parts.some((each) => test(part, toText(each, name)));
  });

/** text[start:end] by code points. */
function slice(text: string, start: Value, end: Value): string {
  if (start === 0n && end === null) return text;
  const all = [...text];
  return all.slice(toIndex(start ?? 0n, "start"), end === null ? all.length : toIndex(end, "end")).join("");
}

/** Code-point index of the part, -1 where there is none. */
const find = (name: string, last: boolean, absent: (part: string) => bigint): [string, Method] =>
  method(name, "sub start?", (text, sub, start = 0n) => {
    const [from, part] = [toIndex(start, name), toText(sub, name)];
    if (from < 0) return fail(`${name}(): a negative start`);
    const before = [...text].slice(0, from).join("").length;
    const at = last ? text.lastIndexOf(part) : text.indexOf(part, before);
    return at < before ? absent(part) : BigInt(charactersIn(text.slice(0, at)));
  });

const notFound = (part: string): never => fail(`the text "${part.slice(0, 40)}" is not found`);

function split(text: string, separator: Value, most: Value): string[] {
  const limit = toIndex(most, "maxsplit");
  if (separator === null) return splitAtSpace(text, limit);
  const by = toText(separator, "sep");
  if (by === "") return fail("split(): an empty separator");
  const parts = text.split(by);
  return limit < 0 || parts.length <= limit + 1 ? parts : [...parts.slice(0, limit), parts.slice(limit).join(by)];
}

const WORD = new RegExp(`[^${SPACE}]+`, "g");

function splitAtSpace(text: string, limit: number): string[] {
  const words = [...text.matchAll(WORD)];
  const cut = limit < 0 ? undefined : words[limit];
  const before = words.slice(0, cut && limit).map(([word]) => word);
  return cut ? [...before, text.slice(cut.index)] : before;
}

function splitFromRight(text: string, separator: Value, most: Value): string[] {
  const mirrored = (part: string): string => [...part].reverse().join("");
  const by = separator === null ? null : mirrored(toText(separator, "sep"));
  return split(mirrored(text), by, most).map(mirrored).reverse();
}

function partition(text: string, separator: Value, last: boolean): Value {
  const by = toText(separator, "sep");
  if (by === "") return fail("partition(): an empty separator");
  const at = last ? text.lastIndexOf(by) : text.indexOf(by);
  if (at < 0) return new Tuple(last ? ["", "", text] : [text, "", ""]);
  return new Tuple([text.slice(0, at), by, text.slice(at + by.length)]);
}

/** All occurrences, or the first `count` of them. */
export function replaced(text: string, old: Value, fresh: Value, count: Value): string {
  const [from, to, most] = [toText(old, "replace()"), toText(fresh, "replace()"), toIndex(count, "count")];
  if (most < 0 && from !== "") return joinTexts(text.split(from), to);
  const parts = from === "" ? ["", ...text, ""] : text.split(from);
  const end = most < 0 ? parts.length : Math.min(parts.length, most + 1);
  return joinTexts([joinTexts(parts.slice(0, end), to), ...parts.slice(end)], from);
}

const justified = (name: string, align: "<" | ">"): [string, Method] =>
  method(name, "width fill?", (text, width, fill = " ") =>
    padded(text, { fill: toText(fill, name), align, width: toWidth(width) }),
  );

function zeroFilled(text: string, width: number): string {
  const [, sign, digits] = /^([-+]?)(.*)$/s.exec(text)!;
  return sign! + padded(digits!, { fill: "0", align: ">", width: width - sign!.length });
}

const swapCase = (text: string): string =>
  [...text].map((each) => (each === each.toLowerCase() ? each.toUpperCase() : each.toLowerCase())).join("");

function countOf(text: string, part: Value): bigint {
  const sub = toText(part, "count()");
  return BigInt(sub === "" ? charactersIn(text) + 1 : text.split(sub).length - 1);
}

const joinedBy = (text: string, items: Value): string =>
  joinTexts(
    [...iterate(items)].map((item) => toText(item, "join()")),
    text,
  );

/** By name; `str.format` is bound where calls are made, as it takes any arguments. */
export const STRING_METHODS: ReadonlyMap<string, Method> = new Map([
  plain("upper", (text) => text.toUpperCase()),
  plain("lower", (text) => text.toLowerCase()),
  plain("casefold", (text) => text.toLowerCase().replaceAll("ß", "ss")),
  plain("capitalize", capitalised),
  plain("title", titled),
  plain("swapcase", swapCase),
  strip("strip", "both"),
  strip("lstrip", "left"),
  strip("rstrip", "right"),
  affix("startswith", (text, part) => text.startsWith(part)),
  affix("endswith", (text, part) => text.endsWith(part)),
  find("find", false, () => -1n),
  find("rfind", true, () => -1n),
  find("index", false, notFound),
  find("rindex", true, notFound),
  method("count", "sub", countOf),
  method("replace", "old new count?", (text, old, fresh, count = LIMITLESS) => replaced(text, old!, fresh!, count)),
  method("split", "sep? maxsplit?", (text, sep = null, most = LIMITLESS) => split(text, sep, most)),
  method("rsplit", "sep? maxsplit?", (text, sep = null, most = LIMITLESS) => splitFromRight(text, sep, most)),
  method("splitlines", "keepends?", (text, keep = false) => linesOf(text, isTrue(keep))),
  method("partition", "sep", (text, sep) => partition(text, sep!, false)),
  method("rpartition", "sep", (text, sep) => partition(text, sep!, true)),
  method("join", "items", (text, items) => joinedBy(text, items!)),
  method("removeprefix", "prefix", (text, prefix) => withoutPrefix(text, toText(prefix!, "removeprefix()"))),
  method("removesuffix", "suffix", (text, suffix) => withoutSuffix(text, toText(suffix!, "removesuffix()"))),
  justified("ljust", "<"),
  justified("rjust", ">"),
  method("center", "width fill?", (text, width, fill = " ") =>
    centred(text, toWidth(width!), toText(fill, "center()")),
  ),
  method("zfill", "width", (text, width) => zeroFilled(text, toWidth(width!))),
  every("isdigit", /^[\p{Nd}²³¹⁰⁴-⁹₀-₉]+$/u),
  every("isdecimal", /^\p{Nd}+$/u),
  every("isnumeric", /^\p{N}+$/u),
  every("isalpha", /^\p{L}+$/u),
  every("isalnum", /^[\p{L}\p{N}]+$/u),
  every("isspace", new RegExp(`^[${SPACE}]+$`)),
  every("isidentifier", /^[\p{ID_Start}_]\p{ID_Continue}*$/u),
  // oxlint-disable-next-line no-control-regex -- ASCII
  every("isascii", /^[\x00-\x7f]*$/),
  every("isprintable", /^(?:[^\p{C}\p{Z}]| )*$/u),
  cased("isupper", /[\p{Ll}\p{Lt}]/u),
  cased("islower", /[\p{Lu}\p{Lt}]/u),
  plain("istitle", (text) => /\p{L}/u.test(text) && titled(text) === text),
]);

const withoutPrefix = (text: string, prefix: string): string =>
  text.startsWith(prefix) ? text.slice(prefix.length) : text;

const withoutSuffix = (text: string, suffix: string): string =>
  suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;

/** Methods that Python's str has beside these. */
export const OTHER_STRING_METHODS = ["encode", "expandtabs", "format_map", "maketrans", "translate"];

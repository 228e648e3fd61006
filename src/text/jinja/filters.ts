// Filters of one value. Those that walk over items are in sequences.ts.
import { builtin, type Builtin, invoke } from "./builtin.ts";
import { capitalised, linesOf, stripped } from "./characters.ts";
import { centred, formatPercent, toWidth } from "./format.ts";
import { dumps, jsonStyle } from "./json.ts";
import { round, toFloat, toInt } from "./numbers.ts";
import { order, signed } from "./operators.ts";
import { str } from "./print.ts";
import { SEQUENCE_FILTERS, type Tools } from "./sequences.ts";
import { replaced } from "./strings.ts";
import { test } from "./tests.ts";
import {
  type Call,
  Dict,
  Markup,
  Tuple,
  Undefined,
  type Value,
  checkCount,
  fail,
  isNumeric,
  isTrue,
  lengthOf,
  toIndex,
  toText,
  typeName,
} from "./values.ts";

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "'": "&#39;",
  '"': "&#34;",
};

const escaped = (value: Value): Markup =>
  value instanceof Markup ? value : new Markup(str(value).replace(/[&<>'"]/g, (each) => ENTITIES[each]!));

const orElse = (value: Value, otherwise: Value = "", alsoFalse: Value = false): Value =>
  value instanceof Undefined || (isTrue(alsoFalse) && !isTrue(value)) ? otherwise : value;

/** Markup is no text here: what Python makes of it is marked, too. */
const textOf = (value: Value): string =>
  value instanceof Markup ? fail("a filter after 'safe' or 'escape' is not supported") : str(value);

const titled = (text: string): string =>
  text
    .split(/([-\s({[<]+)/)
    .map(capitalised)
    .join("");

function indented(text: string, width: Value, first: boolean, blank: boolean): string {
  const lines = linesOf(`${text}\n`, false);
  const columns = typeof width === "string" ? width.length : Math.max(0, toIndex(width, "indent: width"));
  checkCount(lines.length * columns, "text");
  const margin = typeof width === "string" ? width : " ".repeat(columns);
  const rest = lines.slice(1).map((line) => (blank || line !== "" ? margin + line : line));
  return (first ? margin : "") + [lines[0]!, ...rest].join("\n");
}

function truncated(text: string, length: Value, whole: boolean, end: string, leeway: Value): string {
  const [all, most] = [[...text], toIndex(length, "truncate: length")];
  if (most < [...end].length) return fail(`truncate: a length of ${most}, shorter than "${end}"`);
  if (all.length <= most + toIndex(leeway, "truncate: leeway")) return text;
  const cut = all.slice(0, most - [...end].length).join("");
  const space = cut.lastIndexOf(" ");
  return (whole || space < 0 ? cut : cut.slice(0, space)) + end;
}

function length(value: Value): Value {
  const found = lengthOf(value);
  return found === null ? fail(`a ${typeName(value)} has no length`) : BigInt(found);
}

function absolute(value: Value): Value {
  if (!isNumeric(value)) return fail(`abs: got ${typeName(value)}, want a number`);
  return signed(order(value, 0n) < 0 || Object.is(value, -0), value);
}

function tojson(
  value: Value,
  ascii: Value = false,
  indent: Value = null,
  separators: Value = null,
  sorted: Value = false,
) {
  return dumps(value, jsonStyle(isTrue(ascii), indent, separators, isTrue(sorted)));
}

const trimmed = (value: Value, characters: Value = null): string =>
  stripped(textOf(value), "both", characters === null ? null : toText(characters, "trim"));

const escapedUrl = (value: Value): string =>
  encodeURIComponent(str(value))
    .replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%2F", "/");

const VALUE_FILTERS: readonly Builtin[] = [
  builtin("abs", "x", (value) => absolute(value!)),
  builtin("capitalize", "s", (value) => capitalised(textOf(value!))),
  builtin("center", "value width?", (value, width = 80n) => centred(textOf(value!), toWidth(width), " ")),
  builtin("default", "value default_value? boolean?", orElse as Builtin["apply"]),
  builtin("d", "value default_value? boolean?", orElse as Builtin["apply"]),
  builtin("escape", "s", (value) => escaped(value!)),
  builtin("e", "s", (value) => escaped(value!)),
  builtin("float", "value default?", toFloat as Builtin["apply"]),
  builtin("int", "value default? base?", toInt as Builtin["apply"]),
  builtin("indent", "s width? first? blank?", (value, width = 4n, first = false, blank = false) =>
    indented(textOf(value!), width, isTrue(first), isTrue(blank)),
  ),
  builtin("length", "obj", (value) => length(value!)),
  builtin("count", "obj", (value) => length(value!)),
  builtin("lower", "s", (value) => textOf(value!).toLowerCase()),
  builtin("upper", "s", (value) => textOf(value!).toUpperCase()),
  builtin("title", "s", (value) => titled(textOf(value!))),
  builtin("trim", "value chars?", trimmed as Builtin["apply"]),
  builtin("replace", "s old new count?", (value, old, fresh, count = null) =>
    replaced(textOf(value!), str(old!), str(fresh!), count ?? -1n),
  ),
  builtin("round", "value precision? method?", round as Builtin["apply"]),
  builtin("safe", "value", (value) => (value instanceof Markup ? value : new Markup(str(value!)))),
  builtin("string", "object", (value) => (value instanceof Markup ? value : str(value!))),
  builtin("tojson", "x ensure_ascii? indent? separators? sort_keys?", tojson as Builtin["apply"]),
  builtin(
    "truncate",
    "s length? killwords? end? leeway?",
    (value, most = 255n, whole = false, end = "...", leeway = 5n) =>
      truncated(textOf(value!), most ?? 255n, isTrue(whole), toText(end, "truncate: end"), leeway ?? 5n),
  ),
  builtin("urlencode", "value", (value) =>
    typeof value === "string" || isNumeric(value!) ? escapedUrl(value!) : fail("urlencode: only of texts"),
  ),
  builtin("wordcount", "s", (value) => BigInt((textOf(value!).match(/[\p{L}\p{N}_]+/gu) ?? []).length)),
];

const VALUE_FILTER = new Map(VALUE_FILTERS.map((filter) => [filter.name, filter]));

/** Filters of Jinja that are not supported. */
const REFUSED = [
  "attr",
  "filesizeformat",
  "forceescape",
  "pprint",
  "random",
  "striptags",
  "urlize",
  "wordwrap",
  "xmlattr",
];

/** `"%s" | format(…)`: any arguments, or a dict of them. */
function format(value: Value, { positional, named }: Call): Value {
  if (positional.length > 0 && named.size > 0) return fail("format: arguments with and without names");
  return formatPercent(str(value), named.size > 0 ? new Dict(named) : new Tuple(positional));
}

const TOOLS: Tools = { filter: (name, value, call) => filter(name, value, call), test };

/** Errors: TemplateFailure for an unknown filter, or as Python fails in it. */
export function filter(name: string, value: Value, call: Call): Value {
  const known = VALUE_FILTER.get(name);
  const given = { positional: [value, ...call.positional], named: call.named };
  if (known) return invoke(known, given);
  if (name === "format") return format(value, call);
  const found = SEQUENCE_FILTERS.get(name);
  if (found) return found(value, call, TOOLS);
  return fail(REFUSED.includes(name) ? `the filter '${name}' is not supported` : `there is no filter '${name}'`);
}

// A JSON schema as the grammar compiler keeps it. XGrammar 0.1.27 ignores some keywords, gets some bounds wrong and ends its
// WebAssembly module for others: here they are put into a form that it keeps, or refused by name.
import { InputError, isObject } from "../errors.ts";
import { lengthPattern, plainPattern } from "./pattern.ts";

type Schema = Record<string, unknown>;

const ANNOTATIONS = "title description default examples $schema $id $comment deprecated readOnly writeOnly".split(" ");
const DEFINITIONS = ["$defs", "definitions"];
const TYPES = ["string", "number", "integer", "boolean", "null", "object", "array"];
const FORMATS = "date time date-time duration email hostname ipv4 ipv6 uri uri-reference uri-template uuid".split(" ");

/** What stands beside a keyword that says everything. */
const WHOLE = ["anyOf", "oneOf", "$ref", "const", "enum"];

/** Keywords that are kept, by the type that they are of. */
const KEPT: Record<string, readonly string[]> = {
  string: ["minLength", "maxLength", "pattern", "format"],
  number: [],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  boolean: [],
  null: [],
  object: ["properties", "required", "additionalProperties", "minProperties", "maxProperties"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
};

/** Integers of at most so many digits, where a schema bounds them at one side only: one-sided bounds are not kept. */
const FARTHEST = 10 ** 15 - 1;

/** The schema in the form that is kept. Throws InputError naming what cannot be. `oneOf` counts as `anyOf`. */
export function keptSchema(schema: unknown, path = "schema"): Schema {
  if (schema === true) return {};
  if (!isObject(schema)) throw wrong(path, JSON.stringify(schema) ?? "nothing", "an object");
  const kept = Object.fromEntries(Object.entries(schema).filter(([key]) => !ANNOTATIONS.includes(key)));
  for (const key of DEFINITIONS) if (key in kept) kept[key] = mapped(kept[key], `${path}.${key}`);
  const whole = WHOLE.find((key) => key in kept);
  if (whole) return wholeSchema(kept, whole, path);
  if (Array.isArray(kept["type"])) return { anyOf: kept["type"].map((type) => keptSchema({ ...kept, type }, path)) };
  return typedSchema(kept, path);
}

function wholeSchema(kept: Schema, whole: string, path: string): Schema {
  checkKeys(kept, [whole, ...DEFINITIONS, ...(whole === "const" || whole === "enum" ? ["type"] : [])], path, whole);
  const value = kept[whole];
  if (whole === "anyOf" || whole === "oneOf") {
    const { [whole]: _, ...rest } = kept;
    return {
      ...rest,
      anyOf: list(value, `${path}.${whole}`).map((each, i) => keptSchema(each, `${path}.${whole}[${i}]`)),
    };
  }
  if (whole === "enum") list(value, `${path}.enum`);
  const { type, ...rest } = kept;
  const values = whole === "enum" ? (value as unknown[]) : [value];
  const stranger = values.find((each) => type !== undefined && ![type].flat().some((name) => isOf(each, name)));
  if (stranger !== undefined)
    throw wrong(`${path}.${whole}`, JSON.stringify(stranger), `values of type ${String(type)}`);
  return rest;
}

function typedSchema(kept: Schema, path: string): Schema {
  const type = kept["type"] ?? Object.keys(KEPT).find((name) => KEPT[name]!.some((key) => key in kept));
  if (type === undefined) return checkKeys(kept, DEFINITIONS, path, "no type");
  if (typeof type !== "string" || !TYPES.includes(type))
    throw wrong(`${path}.type`, JSON.stringify(type), TYPES.join(", "));
  checkKeys(kept, ["type", ...KEPT[type]!, ...DEFINITIONS], path, `type ${type}`);
  const typed = { ...kept, type };
  if (type === "string") return stringSchema(typed, path);
  if (type === "integer") return integerSchema(typed, path);
  if (type === "object") return objectSchema(typed, path);
  return type === "array" ? arraySchema(typed, path) : typed;
}

/** Lengths as a pattern: a length of its own lets raw control characters through, which no JSON has. */
function stringSchema({ minLength, maxLength, pattern, format, ...rest }: Schema, path: string): Schema {
  const given = [pattern !== undefined, format !== undefined, minLength !== undefined || maxLength !== undefined];
  if (given.filter(Boolean).length > 1) throw wrong(path, "several of pattern, format and lengths", "one of them");
  if (typeof pattern === "string") return { ...rest, pattern: plainPattern(pattern, path) };
  if (format !== undefined && !FORMATS.includes(format as string))
    throw wrong(`${path}.format`, JSON.stringify(format), FORMATS.join(", "));
  if (format !== undefined) return { ...rest, format };
  if (!given[2]) return rest;
  const most = maxLength === undefined ? null : count(maxLength, `${path}.maxLength`);
  return { ...rest, pattern: lengthPattern(count(minLength ?? 0, `${path}.minLength`), most) };
}

function integerSchema(kept: Schema, path: string): Schema {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, ...rest } = kept;
  const bounds = [minimum, maximum, exclusiveMinimum, exclusiveMaximum].filter((bound) => bound !== undefined);
  if (bounds.length === 0) return rest;
  const bad = bounds.find((bound) => typeof bound !== "number" || !(Math.abs(bound) <= FARTHEST));
  if (bad !== undefined) throw wrong(`${path}: a bound`, JSON.stringify(bad), `a number within ±${FARTHEST}`);
  const number = (bound: unknown, fallback: number) => (bound as number | undefined) ?? fallback;
  const low = Math.max(Math.ceil(number(minimum, -FARTHEST)), Math.floor(number(exclusiveMinimum, -FARTHEST - 1)) + 1);
  const high = Math.min(Math.floor(number(maximum, FARTHEST)), Math.ceil(number(exclusiveMaximum, FARTHEST + 1)) - 1);
  if (low > high) throw wrong(path, `bounds ${low} to ${high}`, "room for an integer");
  return { ...rest, minimum: low, maximum: high };
}

function objectSchema(kept: Schema, path: string): Schema {
  const { properties = {}, required = [], additionalProperties, ...rest } = kept;
  const known = mapped(properties, `${path}.properties`);
  const odd = Object.keys(known).find((name) => /["\\\p{Cc}]/u.test(name));
  if (odd !== undefined)
    throw wrong(`${path}.properties`, JSON.stringify(odd), "names without quotes, backslashes and control characters");
  const missing = list(required, `${path}.required`).find((name) => !(String(name) in known));
  if (missing !== undefined) throw wrong(`${path}.required`, JSON.stringify(missing), "names of properties");
  const open = additionalProperties === undefined || typeof additionalProperties === "boolean";
  const others = open ? additionalProperties : keptSchema(additionalProperties, `${path}.additionalProperties`);
  return { ...rest, properties: known, required, ...(others !== undefined && { additionalProperties: others }) };
}

function arraySchema(kept: Schema, path: string): Schema {
  const { items, prefixItems, ...rest } = kept;
  if (prefixItems === undefined) return { ...rest, items: keptSchema(items ?? {}, `${path}.items`) };
  const first = list(prefixItems, `${path}.prefixItems`).map((each, i) =>
    keptSchema(each, `${path}.prefixItems[${i}]`),
  );
  return {
    ...rest,
    prefixItems: first,
    items: items === undefined || items === false ? false : keptSchema(items, `${path}.items`),
  };
}

function mapped(schemas: unknown, path: string): Schema {
  if (!isObject(schemas)) throw wrong(path, JSON.stringify(schemas), "an object");
  return Object.fromEntries(Object.entries(schemas).map(([name, each]) => [name, keptSchema(each, `${path}.${name}`)]));
}

function checkKeys(kept: Schema, allowed: readonly string[], path: string, beside: string): Schema {
  const stranger = Object.keys(kept).find((key) => !allowed.includes(key));
  if (stranger === undefined) return kept;
  throw wrong(path, `${stranger} with ${beside}`, `nothing or one of ${allowed.join(", ")}`);
}

function list(value: unknown, path: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw wrong(path, JSON.stringify(value), "a list");
}

function count(value: unknown, path: string): number {
  if (Number.isInteger(value) && (value as number) >= 0) return value as number;
  throw wrong(path, JSON.stringify(value), "a whole number of at least 0");
}

function isOf(value: unknown, type: unknown): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  return type === "object" ? isObject(value) : typeof value === type;
}

const wrong = (path: string, got: string, want: string): InputError =>
  new InputError(`${path}; got ${got}, want ${want}. Change the schema: what cannot be enforced is not ignored.`);

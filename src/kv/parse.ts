// A recipe as it is written, "f16", "pyramid:budget=512+kivi:bits=2" or an object -> Recipe. Checked before anything is
// allocated.
import { KV_FORMATS, type KvFormat, type KvModel, type RecipeSpec } from "../api.ts";
import { InputError } from "../errors.ts";
import { WRITTEN_FORMATS } from "./format.ts";
import { checkPairs } from "./pairs.ts";
import { chunkRowsOf } from "./plan.ts";
import { type ChosenSystem, Recipe } from "./recipe.ts";
import type { KvBounds, KvSystem, OptionRule, SystemDefinition, TextRule } from "./system.ts";
import { SYSTEMS } from "./systems/index.ts";

const definitions = new Map(SYSTEMS.map((definition) => [definition.name, definition]));

/** Makes a system known to recipes that is not among those of this package. */
export function defineSystem(definition: SystemDefinition): void {
  definitions.set(definition.name, definition);
}

/** Names that a recipe can hold. */
const known = (): string[] => [...KV_FORMATS, ...definitions.keys()];

/** Reads a recipe; one that has been read stays as it is. Throws InputError with what is wrong in it. */
export function parseRecipe(spec: RecipeSpec | Recipe): Recipe {
  if (spec instanceof Recipe) return spec;
  const terms = typeof spec === "string" ? spec.split("+").map(readTerm) : termsOf(spec);
  const formats = terms.filter(({ name }) => Object.hasOwn(WRITTEN_FORMATS, name));
  if (formats.length > 1)
    throw new InputError(`kv: got the formats ${formats.map(({ name }) => name).join(" and ")}, want one.`);
  const [format] = formats;
  const named = format?.options.size ? [...format.options.keys()][0] : undefined;
  if (named !== undefined)
    throw new InputError(`kv: ${format!.name}; got option ${named}, want none: a format has no options.`);
  const systems = terms.filter((term) => term !== format).map(readSystem);
  const twice = systems.find(({ definition }, i) => systems.findIndex((other) => other.definition === definition) < i);
  if (twice) throw new InputError(`kv: got ${twice.definition.name} twice, want it once.`);
  const recipe = new Recipe((format?.name as KvFormat | undefined) ?? "f16", systems, RULES);
  recipe.check({ swiftkv: null });
  return recipe;
}

/** A name and its options, as written between two +. */
interface Term {
  name: string;
  options: Map<string, string>;
}

/** `name` or `name:option=value,option=value`. */
function readTerm(text: string): Term {
  const [, name, list] = /^\s*([\w-]+)\s*(?::(.*))?$/s.exec(text) ?? [];
  if (name === undefined)
    throw new InputError(
      `kv: got "${text.trim()}", want a name such as f16, or name:option=value. Known: ${known().join(", ")}.`,
    );
  const options = new Map<string, string>();
  for (const pair of list?.split(",") ?? []) {
    const [, option, value] = /^\s*([\w-]+)\s*=\s*(\S+)\s*$/.exec(pair) ?? [];
    if (option === undefined) throw new InputError(`kv: ${name}; got "${pair.trim()}", want option=value.`);
    if (options.has(option)) throw new InputError(`kv: ${name}; got option ${option} twice, want it once.`);
    options.set(option, value!);
  }
  return { name, options };
}

const termsOf = ({ format, systems = [] }: Exclude<RecipeSpec, string>): Term[] => [
  ...(format === undefined ? [] : [{ name: format, options: new Map<string, string>() }]),
  ...systems.map(({ name, ...options }) => ({
    name,
    options: new Map(Object.entries(options).map(([option, value]) => [option, String(value)])),
  })),
];

function readSystem({ name, options }: Term): ChosenSystem {
  const definition = definitions.get(name);
  if (!definition) throw new InputError(`kv: got "${name}", want one of ${known().join(", ")}.`);
  const shorthands = Object.entries(definition.shorthands ?? {});
  const textRules = Object.entries(definition.texts ?? {});
  const names = [...Object.keys(definition.options), ...[...shorthands, ...textRules].map(([own]) => own)];
  const stray = [...options.keys()].find((option) => !names.includes(option));
  if (stray !== undefined) {
    const want = names.length > 0 ? `one of ${names.join(", ")}` : "none";
    throw new InputError(`kv: ${name}; got option ${stray}, want ${want}.`);
  }
  const values = Object.entries(definition.options).map(([option, rule]) => {
    const sources = [option, ...shorthands.filter(([, sets]) => sets.includes(option)).map(([shorthand]) => shorthand)];
    const given = sources.find((source) => options.has(source));
    const value = given === undefined ? rule.default : readValue(`${name}:${given}`, options.get(given)!, rule);
    return [option, value] as const;
  });
  const texts = textRules.map(([option, rule]) => [option, readText(name, option, options.get(option), rule)] as const);
  return { definition, options: Object.fromEntries(values), texts: Object.fromEntries(texts) };
}

function readText(name: string, option: string, text: string | undefined, { pattern, want }: TextRule): string {
  if (text === undefined) throw new InputError(`kv: ${name}; got no ${option}, want ${option}=${want}.`);
  if (!pattern.test(text)) throw new InputError(`kv: ${name}:${option}; got ${text}, want ${want}.`);
  return text;
}

function readValue(where: string, text: string, rule: OptionRule): number {
  const { least, most, fraction = false, among, words = {} } = rule;
  if (Object.hasOwn(words, text)) return words[text]!;
  const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  const fits =
    value >= least && value <= most && (fraction || Number.isInteger(value)) && (among?.includes(value) ?? true);
  if (fits) return value;
  const numbers = among ? [...among] : [`a ${fraction ? "" : "whole "}number from ${least} to ${most}`];
  const want = [...numbers, ...Object.keys(words)].join(" or ");
  throw new InputError(`kv: ${where}; got ${text}, want ${want}.`);
}

/** What a system that decides at the end of prompts asks of model and step. */
function checkWindow({ name, retaining, choosing }: KvSystem, { windows }: KvModel, bounds: KvBounds): void {
  if (retaining && windows.some((window) => window > 0)) {
    throw new InputError(
      `kv: ${name}; got a model whose layers see a window of its latest tokens, want one that sees all. Leave ${name} out: the window bounds the cache.`,
    );
  }
  const [chunk, least] = [chunkRowsOf(bounds), ((retaining ?? choosing)?.windowRows ?? 0) + 1];
  if (chunk < least) {
    throw new InputError(`chunk: got ${chunk} tokens, want at least ${least} with ${name}. Load with a larger chunk.`);
  }
}

const RULES = { judge: checkPairs, check: checkWindow };

// What a quality report compares: rows "f16; int8; kivi:bits=2; swiftkv=22+int8". A row is a recipe for the cache, and
// where it names one, another source of the model: `name=value`, without a colon.

import { EngineError, InputError, parseRecipe } from "../../src/index.ts";
import type { ModelInfo, SwiftKv } from "../../src/index.ts";

export interface Row {
  /** As typed, without spaces: names the row in results. */
  text: string;
  recipe: string;
  /** The student that `convert` makes; null: the model as it is. */
  swiftkv: SwiftKv | null;
}

type Source = Pick<Row, "swiftkv">;

/** Reads the value of a source; null if it is none. */
const SOURCES: Readonly<Record<string, { form: string; read: (value: string) => Source | null }>> = {
  swiftkv: {
    form: "K or K,G (whole numbers, G of at least 1)",
    read: (value) => {
      const [, layers, group = "1"] = /^(\d{1,4})(?:,([1-9]\d{0,3}))?$/.exec(value) ?? [];
      return layers === undefined ? null : { swiftkv: { layers: Number(layers), group: Number(group) } };
    },
  },
};

const refuse = (row: string, what: string): InputError => new InputError(`rows: "${row}"; ${what}`);

/** Throws InputError that names the row which is none. A row given twice is one. */
export function parseRows(text: string): Row[] {
  const rows = text.split(";").map(readRow);
  return rows.filter((row, i) => rows.findIndex((other) => other.text === row.text) === i);
}

function readRow(typed: string): Row {
  const text = typed.replaceAll(/\s+/g, "");
  if (text === "") throw refuse("", "got nothing, want a recipe such as int8. Separate rows by one semicolon.");
  const terms = text.split("+");
  const sources = terms.filter((term) => /^[\w-]+=/.test(term));
  if (sources.length > 1) throw refuse(text, `got ${sources.join(" and ")}, want one of them.`);
  const recipe = terms.filter((term) => !sources.includes(term)).join("+") || "f16";
  const row = { text, recipe, ...readSource(text, sources[0]) };
  checkRecipe(row);
  return row;
}

function readSource(row: string, term: string | undefined): Source {
  if (term === undefined) return { swiftkv: null };
  const [, name, value] = /^([\w-]+)=(.*)$/.exec(term)!;
  const known = Object.hasOwn(SOURCES, name!) ? SOURCES[name!]! : null;
  if (!known) throw refuse(row, `got ${name}=, want ${Object.keys(SOURCES).join("=, ")}=, or a recipe.`);
  const source = known.read(value!);
  if (!source) throw refuse(row, `got ${name}=${value}, want ${known.form}.`);
  return source;
}

function checkRecipe({ text, recipe, swiftkv }: Row): void {
  try {
    parseRecipe(recipe).check({ swiftkv });
  } catch (error) {
    throw named(text, error);
  }
}

/** The error with the row's name, if it is about an option. */
function named(row: string, error: unknown): unknown {
  if (!(error instanceof EngineError && error.code === "bad-option")) return error;
  return refuse(row, error.message.replace(/^kv: /, ""));
}

/** Throws InputError if the model cannot have the row. */
export function checkRow({ text, recipe, swiftkv }: Row, { layers, kvShape, context }: ModelInfo): void {
  if (swiftkv && swiftkv.layers > layers)
    throw refuse(text, `got swiftkv=${swiftkv.layers}, want at most ${layers}, the model's layers.`);
  if (swiftkv && (layers - swiftkv.layers) % swiftkv.group !== 0)
    throw refuse(text, `got groups of ${swiftkv.group}, want a divisor of ${layers - swiftkv.layers}.`);
  try {
    parseRecipe(recipe).price({ ...kvShape, ...(swiftkv && { swiftkv }) }, context);
  } catch (error) {
    throw named(text, error);
  }
}

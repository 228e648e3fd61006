// What a quality report compares: rows "f16; int8; kivi:bits=2; calibrated=22+int8". A row is a recipe for the cache, and
// where it names one, another source of the model: `name=value`, without a colon.

import { EngineError, InputError } from "../../src/index.ts";
import { parseRecipe } from "../../src/recipes.ts";
import type { ModelInfo, SwiftKv } from "../../src/index.ts";

/** Which model a row runs. */
export type Source =
  /** As it is. */
  | { kind: "own" }
  /** Its own weights as a student, its norms folded in; or a student fitted to the text to calibrate on. */
  | { kind: "folded"; swiftkv: SwiftKv }
  | { kind: "calibrated"; swiftkv: SwiftKv }
  /** A student's file, by the name that the row has for it. */
  | { kind: "student"; name: string };

export interface Row {
  /** As typed, without spaces around the signs: names the row in results. */
  text: string;
  recipe: string;
  source: Source;
}

const SHAPE = "K or K,G (whole numbers, G of at least 1)";

function readShape(value: string): SwiftKv | null {
  const [, layers, group = "1"] = /^(\d{1,4})(?:,([1-9]\d{0,3}))?$/.exec(value) ?? [];
  return layers === undefined ? null : { layers: Number(layers), group: Number(group) };
}

const shaped = (kind: "folded" | "calibrated") => (value: string) => {
  const swiftkv = readShape(value);
  return swiftkv && { kind, swiftkv };
};

/** Reads the value of a source; null if it is none. */
const SOURCES: Readonly<Record<string, { form: string; read: (value: string) => Source | null }>> = {
  swiftkv: { form: SHAPE, read: shaped("folded") },
  calibrated: { form: SHAPE, read: shaped("calibrated") },
  student: {
    form: "a student's folder, file or address",
    read: (name) => (name === "" ? null : { kind: "student", name }),
  },
};

export const refuse = (row: string, what: string): InputError => new InputError(`rows: "${row}"; ${what}`);

/** Throws InputError that names the row which is none. A row given twice is one. */
export function parseRows(text: string): Row[] {
  const rows = text.split(";").map(readRow);
  return rows.filter((row, i) => rows.findIndex((other) => other.text === row.text) === i);
}

function readRow(typed: string): Row {
  const text = typed.trim().replaceAll(/\s*([+=,:])\s*/g, "$1");
  if (text === "") throw refuse("", "got nothing, want a recipe such as int8. Separate rows by one semicolon.");
  const terms = text.split("+");
  const sources = terms.filter((term) => /^[\w-]+=/.test(term));
  if (sources.length > 1) throw refuse(text, `got ${sources.join(" and ")}, want one of them.`);
  const recipe = terms.filter((term) => !sources.includes(term)).join("+") || "f16";
  const row = { text, recipe, source: readSource(text, sources[0]) };
  checkRecipe(row);
  return row;
}

function readSource(row: string, term: string | undefined): Source {
  if (term === undefined) return { kind: "own" };
  const [, name, value] = /^([\w-]+)=(.*)$/.exec(term)!;
  const known = Object.hasOwn(SOURCES, name!) ? SOURCES[name!]! : null;
  if (!known) throw refuse(row, `got ${name}=, want ${Object.keys(SOURCES).join("=, ")}=, or a recipe.`);
  const source = known.read(value!);
  if (!source) throw refuse(row, `got ${name}=${value}, want ${known.form}.`);
  return source;
}

/** The shape that the row's text says; null where it says none. */
const shapeOf = (source: Source): SwiftKv | null => ("swiftkv" in source ? source.swiftkv : null);

function checkRecipe({ text, recipe, source }: Row): void {
  try {
    parseRecipe(recipe).check({ swiftkv: shapeOf(source) });
  } catch (error) {
    throw named(text, error);
  }
}

/** The error with the row's name, if it is about an option. */
function named(row: string, error: unknown): unknown {
  if (!(error instanceof EngineError && error.code === "bad-option")) return error;
  return refuse(row, error.message.replace(/^kv: /, ""));
}

/** Throws InputError if the model cannot have the row. What a student's file says is known once it is opened. */
export function checkRow({ text, recipe, source }: Row, { layers, kvShape, context }: ModelInfo): void {
  const swiftkv = shapeOf(source);
  if (swiftkv) checkShape(text, source.kind, swiftkv, layers);
  try {
    parseRecipe(recipe).price({ ...kvShape, ...(swiftkv && { swiftkv }) }, context);
  } catch (error) {
    throw named(text, error);
  }
}

function checkShape(row: string, kind: Source["kind"], swiftkv: SwiftKv, layers: number): void {
  const most = kind === "calibrated" ? layers - 1 : layers;
  if (swiftkv.layers > most)
    throw refuse(row, `got ${swiftkv.layers} layers, want at most ${most}; the model has ${layers}.`);
  if ((layers - swiftkv.layers) % swiftkv.group !== 0)
    throw refuse(row, `got groups of ${swiftkv.group}, want a divisor of ${layers - swiftkv.layers}.`);
}

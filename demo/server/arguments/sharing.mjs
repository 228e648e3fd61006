// The arguments of `npm run kvsharer`, and the files of maps that recipes name.

import { readFileSync } from "node:fs";
import { integer, number, read, repeated, UsageError } from "./read.mjs";

export const SHARE_HELP = `npm run kvsharer -- --share N

  --share N                so many layers are to read an earlier one's keys and values, at most
  --text FILE ...          UTF-8 texts to try it on, in 30 pieces of 64 tokens (default: the built-in stories)
  --cosine T               a layer shares where the model's last state keeps its direction so far (default 0.5)
  --out FILE               where the map goes (default: kvsharer.json): npm start -- --kv kvsharer:map=FILE
  --model MODEL            as for npm start (default: fable)
  --json                   one line of JSON instead of text
  --software               run on the CPU (SwiftShader)`;

const SHARE = {
  share: { type: "string" },
  text: { type: "string", multiple: true },
  cosine: { type: "string" },
  out: { type: "string" },
  model: { type: "string" },
  json: { type: "boolean" },
  software: { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

/** Reads the arguments of `npm run kvsharer`.
 * @param {readonly string[]} argv
 * @throws {UsageError} */
export function parseShare(argv) {
  const values = read(repeated(argv, "--text"), SHARE);
  if (values.help) return { help: true };
  if (values.share === undefined) throw new UsageError("--share is missing: how many layers? --help lists the options");
  return {
    texts: values.text ?? [],
    out: values.out ?? "kvsharer.json",
    model: values.model ?? "fable",
    json: values.json ?? false,
    software: values.software,
    layers: integer(values, "share", 1),
    cosine: number(values, "cosine", -1, 1),
  };
}

/** A recipe, or several, in which maps stand in place of their files.
 * @param {string | undefined} recipes
 * @throws {UsageError} */
export const withMaps = (recipes) =>
  recipes?.replace(/(\bkvsharer:map=)([^\s,;+]*\.json)\b/g, (_, before, path) => before + mapIn(path));

function mapIn(path) {
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch ({ code }) {
    throw new UsageError(`kvsharer:map=${path} cannot be read: ${code}. npm run kvsharer makes a map`);
  }
  try {
    const { map } = JSON.parse(text);
    if (typeof map === "string") return map;
  } catch {
    // said below
  }
  throw new UsageError(`kvsharer:map=${path} is no map, want a file that npm run kvsharer made`);
}

// The arguments of `npm run bench`.

import { defined, integer, read, UsageError, wholeList } from "./read.mjs";
import { withMaps } from "./sharing.mjs";

export const BENCH_HELP = `npm run bench [-- options]

  --model MODEL            directory, .gguf file, URL, org/name, or a name in models/ (default: fable)
  --frontiers 128,512      context lengths to measure at (default: 128,256,512,1024,2048,4096,8192 as far as they fit)
  --runs N                 measured runs per length (default 5), after --warmups N (default 1)
  --decode-runs N          measured runs of decoding (default --runs): their prompts come from the cache
  --new-tokens N           tokens decoded per run (default 32)
  --kv RECIPE --context N  as for npm start
  --int8-products          read prompts in 8 bits, as for npm start
  --matrix-products        read prompts by subgroup matrices, as for npm start
  --no-profile             leave the per-kernel table out
  --swiftkv                the model as it is (dense) against SwiftKV conversions of it, run by run in turn; then
                           --kv takes several recipes, separated by semicolons: --kv "f16;int8"
  --variants "14,1;14,2"   which conversions: layers K, group G (default: K near half of the layers, G 1 and 2)
  --recipes LIST           recipes side by side, separated by semicolons, without SwiftKV unless --variants are given or a
                           recipe names a shape: "f16;shadow;swiftkv=half+shadow", swiftkv=K or swiftkv=K,G;
                           usual stands for f16;int8;kivi:bits=4;pyramid;shadow;swiftkv=half,2+shadow
  --plot FILE.svg          of a comparison: time of a new token and bytes of the cache by context
  --out FILE.json          write the result there
  --software               run on the CPU (SwiftShader)
  --headed                 show the browser`;

const BENCH = {
  model: { type: "string" },
  frontiers: { type: "string" },
  runs: { type: "string" },
  warmups: { type: "string" },
  "decode-runs": { type: "string" },
  "new-tokens": { type: "string" },
  kv: { type: "string" },
  context: { type: "string" },
  "int8-products": { type: "boolean" },
  "matrix-products": { type: "boolean" },
  "no-profile": { type: "boolean" },
  swiftkv: { type: "boolean" },
  variants: { type: "string" },
  recipes: { type: "string" },
  plot: { type: "string" },
  out: { type: "string" },
  software: { type: "boolean" },
  headed: { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

/** Reads the arguments of `npm run bench`.
 * @param {readonly string[]} argv
 * @throws {UsageError} */
export function parseBench(argv) {
  const values = read(argv, BENCH);
  if (values.help) return { help: true };
  const compared = comparedBy(values);
  return {
    model: values.model ?? "fable",
    out: values.out,
    software: values.software,
    headed: values.headed ?? false,
    compared: compared !== null,
    plot: values.plot,
    options: defined({
      frontiers: frontierList(values),
      runs: integer(values, "runs", 1, 1000),
      warmups: integer(values, "warmups", 0, 100),
      decodeRuns: integer(values, "decode-runs", 1, 1000),
      newTokens: integer(values, "new-tokens", 2, 4096),
      kv: compared ? recipeList(compared, values[compared === "--recipes" ? "recipes" : "kv"]) : withMaps(values.kv),
      context: integer(values, "context", 1),
      int8Products: values["int8-products"],
      matrixProducts: values["matrix-products"],
      profile: values["no-profile"] ? false : undefined,
      shapes: shapeList(values.variants) ?? (compared === "--recipes" && !values.swiftkv ? [] : undefined),
    }),
  };
}

/** The option that asks for a comparison; null: one model is measured. Refuses what that would ignore. */
function comparedBy(values) {
  if (values.recipes !== undefined && values.kv !== undefined)
    throw new UsageError("--recipes and --kv cannot go together. Name all recipes in --recipes");
  const compared = values.recipes !== undefined ? "--recipes" : values.swiftkv ? "--swiftkv" : null;
  if (!compared) {
    if (values.variants !== undefined) throw new UsageError("--variants needs --swiftkv or --recipes");
    if (values.plot !== undefined) throw new UsageError("--plot needs --swiftkv or --recipes");
    return null;
  }
  if (values["no-profile"]) throw new UsageError(`--no-profile cannot go with ${compared}, which times no kernels`);
  if (values["decode-runs"] !== undefined)
    throw new UsageError(`--decode-runs cannot go with ${compared}, which reads every prompt anew`);
  return compared;
}

/** Semicolons, because a recipe may hold commas: "f16;kivi:kbits=8,vbits=4". What a recipe may be, the engine knows. */
function recipeList(compared, text) {
  if (text === undefined) return undefined;
  const recipes = withMaps(text)
    .split(";")
    .map((part) => part.trim());
  const option = compared === "--recipes" ? compared : "--kv";
  if (recipes.includes("")) throw new UsageError(`${option} is "${text}", want recipes separated by semicolons`);
  return [...new Set(recipes)];
}

/** "14,1;14,2" → K and G of each. */
function shapeList(text) {
  return text?.split(";").map((part) => {
    const [, layers, group] = /^\s*(\d+)\s*,\s*([1-9]\d*)\s*$/.exec(part) ?? [];
    if (group === undefined) throw new UsageError(`--variants is "${part}", want K,G pairs such as "14,1;14,2"`);
    return { layers: Number(layers), group: Number(group) };
  });
}

const frontierList = (values) => {
  const frontiers = wholeList(values, "frontiers", 1);
  return frontiers && [...new Set(frontiers)].toSorted((a, b) => a - b);
};

// The arguments of `npm run convert` and `npm run distil`, which make students.

import { defined, integer, number, read, repeated, UsageError } from "./read.mjs";

export const CONVERT_HELP = `npm run convert -- --layers K --text FILE --out DIR

  --layers K               layers that prompts run
  --group G                that many of the others share a cache (default 1; more is much worse)
  --text FILE ...          UTF-8 texts like those that the student is to read: at least 4 tokens for each of the model's
                           inputs, better 20 (SmolLM2-135M: 12,000)
  --tokens N               use so many tokens of them, in equal shares (default: all)
  --chats N                instead of texts, or beside them: N chats that the model itself makes up, about 250 tokens each
  --out DIR                where student.safetensors goes: npm start -- --student DIR
  --full                   write a whole checkpoint in the public SwiftKV layout there, which other engines read too
  --model MODEL            as for npm start (default: fable)
  --window N               read them in windows of N tokens (default 512)
  --ridge R                hold the fit back: lambda as a share of the inputs' mean square (default 1e-4)
  --json                   one line of JSON instead of text
  --software               run on the CPU (SwiftShader)`;

/** Options of both. */
const COMMON = {
  model: { type: "string" },
  chats: { type: "string" },
  layers: { type: "string" },
  group: { type: "string" },
  text: { type: "string", multiple: true },
  tokens: { type: "string" },
  out: { type: "string" },
  window: { type: "string" },
  json: { type: "boolean" },
  software: { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

const CONVERT = { ...COMMON, full: { type: "boolean" }, ridge: { type: "string" } };

/** Reads the arguments of `npm run convert`.
 * @param {readonly string[]} argv
 * @throws {UsageError} */
export function parseConvert(argv) {
  const values = read(repeated(argv, "--text"), CONVERT);
  if (values.help) return { help: true };
  checkNeeded(values);
  return {
    ...commonOf(values),
    load: {},
    full: values.full ?? false,
    calibrate: defined({
      window: integer(values, "window", 2),
      ridge: number(values, "ridge", 1e-12, 0.999),
    }),
  };
}

export const DISTIL_HELP = `npm run distil -- --layers K --text FILE --out DIR

  --layers K               layers that prompts run
  --group G                that many of the others share a cache (default 1)
  --text FILE ...          UTF-8 texts to train on, like those that the student is to read
  --tokens N               use so many tokens of them, in equal shares (default: all)
  --chats N                instead of texts, or beside them: N chats that the model itself makes up, about 250 tokens each
  --out DIR                where student.safetensors goes, and checkpoint.safetensors on the way
  --resume                 go on from the checkpoint in DIR, with the same texts and options
  --model MODEL            as for npm start (default: fable)
  --start DIR              begin with the student in DIR (default: calibrate one on the texts first)
  --folded                 begin with the model's own weights
  --steps N                default 120
  --rate R --warmup N      of AdamW, reached after N steps, falling to 0 at the end (default 3e-4, 10)
  --temperature T          at which logits are compared (default 2)
  --hidden-weight W        of the distance of the residual streams in the loss (default 0)
  --window N --batch N     tokens of a window, windows of a step (default 512, 1)
  --seed N                 of the order of windows (default 0)
  --checkpoint-every N     steps (default 10)
  --json                   one line of JSON instead of text
  --software               run on the CPU (SwiftShader)`;

const DISTIL = {
  ...COMMON,
  resume: { type: "boolean" },
  start: { type: "string" },
  folded: { type: "boolean" },
  steps: { type: "string" },
  rate: { type: "string" },
  warmup: { type: "string" },
  temperature: { type: "string" },
  "hidden-weight": { type: "string" },
  batch: { type: "string" },
  seed: { type: "string" },
  "checkpoint-every": { type: "string" },
};

/** Reads the arguments of `npm run distil`.
 * @param {readonly string[]} argv
 * @throws {UsageError} */
export function parseDistil(argv) {
  const values = read(repeated(argv, "--text"), DISTIL);
  if (values.help) return { help: true };
  checkNeeded(values);
  const begin = ["start", "folded", "resume"].filter((name) => values[name]);
  if (begin.length > 1) throw new UsageError(`--${begin[0]} cannot go with --${begin[1]}: each says where to begin`);
  const window = integer(values, "window", 2);
  const room = Math.ceil((window ?? 512) / 32) * 32;
  return {
    ...commonOf(values),
    start: values.start,
    resume: values.resume ?? false,
    // The same kernels every time: another order of sums would make a training that goes on another one.
    load: { context: room, chunk: room, tune: "off" },
    distil: defined({
      start: values.folded ? "folded" : undefined,
      steps: integer(values, "steps", 1),
      rate: number(values, "rate", 1e-9, 1),
      warmup: integer(values, "warmup", 0),
      temperature: number(values, "temperature", 0.1, 100),
      hiddenWeight: number(values, "hidden-weight", 0),
      window,
      batch: integer(values, "batch", 1),
      seed: integer(values, "seed", 0, 2 ** 32 - 1),
      checkpointEvery: integer(values, "checkpoint-every", 1) ?? 10,
    }),
  };
}

/** What `convert` and `distil` cannot do without. */
function checkNeeded(values) {
  const data = values.chats === undefined ? ["text"] : [];
  for (const name of ["layers", ...data, "out"])
    if (values[name] === undefined) throw new UsageError(`--${name} is missing. --help shows what it is.`);
}

/** What both make of the options that both have. */
const commonOf = (values) => ({
  model: values.model ?? "fable",
  texts: values.text ?? [],
  out: values.out,
  json: values.json ?? false,
  software: values.software,
  shape: { layers: integer(values, "layers", 0), group: integer(values, "group", 1) ?? 1 },
  data: defined({ tokens: integer(values, "tokens", 2), chats: integer(values, "chats", 1) }),
});

// The arguments of the commands. Every error is one line.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { localModel } from "./files.mjs";

const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** A user's mistake: shown as one line, without a stack trace. */
export class UsageError extends Error {
  name = "UsageError";
}

export const START_HELP = `npm start                                   the chat page in your browser
npm start -- --prompt "..."                 one reply on standard output, figures on standard error

  --prompt TEXT            what to answer; - reads standard input
  --tokens 5,70,80         the prompt as token ids, instead of --prompt
  --system TEXT            system prompt
  --raw                    continue the text, without the chat template
  --model MODEL            directory, .gguf file, URL, org/name on Hugging Face, or a name in models/ (default: fable)
  --max-tokens N           longest reply (default: what fits)
  --temperature T          0 = most likely token (default)
  --top-p P --top-k K --min-p P --repetition-penalty R --seed S
  --kv RECIPE              how keys and values are kept: a format (f16, f32, int8, int4; default f16), or systems joined
                           by +, with options as in name:option=value,option=value. int8 and int4 are lossy
  --swiftkv K[,G]          convert to SwiftKV: the prompt passes K layers, G later ones share a cache (default 1);
                           not trained for it, so answers are poor. off: run a SwiftKV model as the one it came from
  --student DIR            a student of this model that npm run convert wrote: its folder, file or URL
  --context N              tokens of context
  --json                   one line of JSON instead of text: the reply, and all figures of the engine
  --software               run on the CPU (SwiftShader)
  --port N, --no-open      for the page: its port; do not open a browser`;

const START = {
  prompt: { type: "string" },
  tokens: { type: "string" },
  system: { type: "string" },
  raw: { type: "boolean" },
  model: { type: "string" },
  "max-tokens": { type: "string" },
  temperature: { type: "string" },
  "top-p": { type: "string" },
  "top-k": { type: "string" },
  "min-p": { type: "string" },
  "repetition-penalty": { type: "string" },
  seed: { type: "string" },
  kv: { type: "string" },
  swiftkv: { type: "string" },
  student: { type: "string" },
  context: { type: "string" },
  json: { type: "boolean" },
  software: { type: "boolean" },
  port: { type: "string" },
  "no-open": { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

const PAGE_ONLY = ["port", "no-open"];

/** Reads the arguments of `npm start`.
 * @param {readonly string[]} argv without node and script
 * @throws {UsageError} */
export function parseStart(argv) {
  const values = read(argv, START);
  if (values.help) return { help: true };
  const others = Object.keys(values).filter((name) => !PAGE_ONLY.includes(name));
  if (values.prompt === undefined && values.tokens === undefined) {
    if (others.length > 0) throw new UsageError(`--${others[0]} needs --prompt or --tokens`);
    return { page: true, port: integer(values, "port", 0, 65535), open: !values["no-open"] };
  }
  checkTogether(values);
  return {
    prompt: values.prompt,
    tokens: wholeList(values, "tokens", 0),
    system: values.system,
    raw: values.raw ?? false,
    model: values.model ?? "fable",
    json: values.json ?? false,
    software: values.software,
    student: values.student,
    load: defined({
      kv: values.kv,
      swiftkv: swiftkv(values.swiftkv),
      context: integer(values, "context", 1),
    }),
    generate: defined({
      maxTokens: integer(values, "max-tokens", 1),
      temperature: number(values, "temperature", 0, 100),
      topP: number(values, "top-p", 0, 1),
      topK: integer(values, "top-k", 0),
      minP: number(values, "min-p", 0, 1),
      repetitionPenalty: number(values, "repetition-penalty", 0.01, 100),
      seed: integer(values, "seed", 0, 2 ** 32 - 1),
    }),
  };
}

/** Refuses options that contradict each other. */
function checkTogether(values) {
  const extra = Object.keys(values).find((name) => PAGE_ONLY.includes(name));
  if (extra) throw new UsageError(`--${extra} is for the page and cannot go with a prompt`);
  const wording = ["prompt", "system", "raw"].find((name) => values[name] !== undefined);
  if (values.tokens !== undefined && wording)
    throw new UsageError(`--${wording} cannot go with --tokens, which are the whole prompt`);
  if (values.raw && values.system !== undefined)
    throw new UsageError("--system needs the chat template and cannot go with --raw");
}

export const BENCH_HELP = `npm run bench [-- options]

  --model MODEL            directory, .gguf file, URL, org/name, or a name in models/ (default: fable)
  --frontiers 128,512      context lengths to measure at (default: 128,256,512,1024,2048,4096,8192 as far as they fit)
  --runs N                 measured runs per length (default 5), after --warmups N (default 1)
  --decode-runs N          measured runs of decoding (default --runs): their prompts come from the cache
  --new-tokens N           tokens decoded per run (default 32)
  --kv RECIPE --context N  as for npm start
  --no-profile             leave the per-kernel table out
  --swiftkv                the model as it is (dense) against SwiftKV conversions of it, run by run in turn; then
                           --kv takes several recipes, separated by semicolons: --kv "f16;int8"
  --variants "14,1;14,2"   which conversions: layers K, group G (default: K near half of the layers, G 1 and 2)
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
  "no-profile": { type: "boolean" },
  swiftkv: { type: "boolean" },
  variants: { type: "string" },
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
  const compared = values.swiftkv ?? false;
  if (values.variants !== undefined && !compared) throw new UsageError("--variants needs --swiftkv");
  if (values["no-profile"] && compared)
    throw new UsageError("--no-profile cannot go with --swiftkv, which times no kernels");
  if (values["decode-runs"] !== undefined && compared)
    throw new UsageError("--decode-runs cannot go with --swiftkv, which reads every prompt anew");
  return {
    model: values.model ?? "fable",
    out: values.out,
    software: values.software,
    headed: values.headed ?? false,
    compared,
    options: defined({
      frontiers: frontierList(values),
      runs: integer(values, "runs", 1, 1000),
      warmups: integer(values, "warmups", 0, 100),
      decodeRuns: integer(values, "decode-runs", 1, 1000),
      newTokens: integer(values, "new-tokens", 2, 4096),
      kv: compared ? recipeList(values.kv) : values.kv,
      context: integer(values, "context", 1),
      profile: values["no-profile"] ? false : undefined,
      shapes: shapeList(values.variants),
    }),
  };
}

export const QUALITY_HELP = `npm run quality [-- options]

  --text FILE              plain text to measure on; may be given several times (default: stories written by Fable)
  --chat FILE.jsonl        conversations, {"messages": [...]} in each line: the last turn of the assistant is scored
  --rows "f16; int8"       what to compare with the dense model in f16, separated by semicolons: recipes as for --kv, and
                           a student, alone or before a recipe as in calibrated=22+int8 (default: f16; int8; int4):
                             swiftkv=K or swiftkv=K,G          the model's own weights, converted
                             calibrated=K or calibrated=K,G    fitted to the texts of --calibrate
                             student=DIR                       from its folder, file or URL
  --calibrate FILE ...     plain text that calibrated students are fitted to (default: the stories, unless measured on)
  --calibrate-tokens N     use so many tokens of them, in equal shares (default 20000)
  --model MODEL            directory, .gguf file, URL, org/name, or a name in models/ (default: fable)
  --measures ce,needle     which: ce (cross-entropy, KL, top-1), greedy, needle, qa (default: all)
  --prompt N               tokens of a prompt (default 512); --chat: those of more are left out
  --continuation N         tokens scored after it (default 64)
  --windows N              parts of each text, or conversations of each file (default 3)
  --lengths 256,512        tokens of the needles' prompts (default: half of --prompt, and all of it)
  --depths 10,50,90        where the needles are in them, in percent
  --questions N            the first so many of the questions (default: all)
  --json                   a line of JSON for each row instead of the table
  --plot FILE.svg          draw bytes per token against KL
  --software               run on the CPU (SwiftShader)`;

const QUALITY = {
  text: { type: "string", multiple: true },
  chat: { type: "string", multiple: true },
  calibrate: { type: "string", multiple: true },
  "calibrate-tokens": { type: "string" },
  rows: { type: "string" },
  model: { type: "string" },
  measures: { type: "string" },
  prompt: { type: "string" },
  continuation: { type: "string" },
  windows: { type: "string" },
  lengths: { type: "string" },
  depths: { type: "string" },
  questions: { type: "string" },
  json: { type: "boolean" },
  plot: { type: "string" },
  software: { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

/** Reads the arguments of `npm run quality`. What a row is, the page knows.
 * @param {readonly string[]} argv
 * @throws {UsageError} */
export function parseQuality(argv) {
  const values = read(repeated(argv, "--calibrate"), QUALITY);
  if (values.help) return { help: true };
  return {
    texts: values.text ?? [],
    chats: values.chat ?? [],
    calibrate: values.calibrate ?? [],
    model: values.model ?? "fable",
    json: values.json ?? false,
    plot: values.plot,
    software: values.software,
    options: defined({
      rows: values.rows,
      calibrateTokens: integer(values, "calibrate-tokens", 1),
      measures: values.measures?.split(",").map((name) => name.trim()),
      prompt: integer(values, "prompt", 32, 65536),
      continuation: integer(values, "continuation", 2, 4096),
      windows: integer(values, "windows", 1, 1000),
      lengths: wholeList(values, "lengths", 96),
      depths: wholeList(values, "depths", 0, 100),
      questions: integer(values, "questions", 1),
    }),
  };
}

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

const CONVERT = {
  model: { type: "string" },
  chats: { type: "string" },
  full: { type: "boolean" },
  layers: { type: "string" },
  group: { type: "string" },
  text: { type: "string", multiple: true },
  tokens: { type: "string" },
  out: { type: "string" },
  window: { type: "string" },
  ridge: { type: "string" },
  json: { type: "boolean" },
  software: { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

/** Reads the arguments of `npm run convert`.
 * @param {readonly string[]} argv
 * @throws {UsageError} */
export function parseConvert(argv) {
  const values = read(repeated(argv, "--text"), CONVERT);
  if (values.help) return { help: true };
  checkNeeded(values);
  return {
    model: values.model ?? "fable",
    texts: values.text ?? [],
    out: values.out,
    json: values.json ?? false,
    software: values.software,
    shape: { layers: integer(values, "layers", 0), group: integer(values, "group", 1) ?? 1 },
    load: {},
    full: values.full ?? false,
    data: dataOf(values),
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
  model: { type: "string" },
  chats: { type: "string" },
  layers: { type: "string" },
  group: { type: "string" },
  text: { type: "string", multiple: true },
  tokens: { type: "string" },
  out: { type: "string" },
  resume: { type: "boolean" },
  start: { type: "string" },
  folded: { type: "boolean" },
  steps: { type: "string" },
  rate: { type: "string" },
  warmup: { type: "string" },
  temperature: { type: "string" },
  "hidden-weight": { type: "string" },
  window: { type: "string" },
  batch: { type: "string" },
  seed: { type: "string" },
  "checkpoint-every": { type: "string" },
  json: { type: "boolean" },
  software: { type: "boolean" },
  help: { type: "boolean", short: "h" },
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
    model: values.model ?? "fable",
    texts: values.text ?? [],
    out: values.out,
    json: values.json ?? false,
    software: values.software,
    start: values.start,
    resume: values.resume ?? false,
    data: dataOf(values),
    shape: { layers: integer(values, "layers", 0), group: integer(values, "group", 1) ?? 1 },
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

const dataOf = (values) => defined({ tokens: integer(values, "tokens", 2), chats: integer(values, "chats", 1) });

/** `--text a b` → `--text a --text b` */
function repeated(argv, name) {
  let within = false;
  return argv.flatMap((word, i) => {
    if (word.startsWith("--")) within = word === name;
    return within && !word.startsWith("--") && argv[i - 1] !== name ? [name, word] : [word];
  });
}

/** Semicolons, because a recipe may hold commas: "f16;kivi:kbits=8,vbits=4". What a recipe may be, the engine knows. */
function recipeList(text) {
  if (text === undefined) return undefined;
  const recipes = text.split(";").map((part) => part.trim());
  if (recipes.includes("")) throw new UsageError(`--kv is "${text}", want recipes separated by semicolons`);
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

/** "K", "K,G" or "off". Which shapes a model can have, the engine knows. */
function swiftkv(text) {
  if (text === undefined) return undefined;
  if (text === "off") return false;
  const shape = /^(\d{1,4})(?:,([1-9]\d{0,3}))?$/.exec(text);
  if (!shape) throw new UsageError(`--swiftkv is "${text}", want K or K,G (whole numbers, G of at least 1), or off`);
  return { layers: Number(shape[1]), group: Number(shape[2] ?? 1) };
}

const frontierList = (values) => {
  const frontiers = wholeList(values, "frontiers", 1);
  return frontiers && [...new Set(frontiers)].toSorted((a, b) => a - b);
};

/** "5,70,80" as numbers. */
const wholeList = (values, name, least, most) =>
  values[name]?.split(",").map((part) => integer({ [name]: part.trim() }, name, least, most));

/** What `--model` means, with everything checked that needs no GPU and no network.
 * @returns {Promise<{local: {directory: string, file: string}} | {source: string}>}
 * @throws {UsageError} */
export async function resolveModel(model) {
  if (/^https?:\/\//i.test(model)) return { source: model };
  const path = model.startsWith("~/") ? join(homedir(), model.slice(2)) : model;
  const looksLocal = /^(\.{0,2}[/\\]|[A-Za-z]:[/\\])/.test(path) || /\.gguf$/i.test(path) || existsSync(path);
  const named = [join(REPOSITORY, "demo/models", model), join(REPOSITORY, "models", model)].find((place) =>
    existsSync(place),
  );
  const parent = path.includes("/") && existsSync(path.split("/")[0]);
  if (existsSync(path) || (!named && (looksLocal || parent))) return local(path);
  if (named) return local(named);
  if (/^[\w][\w.-]*\/[\w][\w.-]*(@[\w./-]+)?$/.test(model)) return { source: model };
  throw new UsageError(
    `unknown model "${model}": give a directory, a .gguf file, a URL, org/name, or a name in models/`,
  );
}

/** What `--student` means: like `resolveModel`.
 * @throws {UsageError} */
export async function resolveStudent(student) {
  if (/^https?:\/\//i.test(student)) return { source: student };
  const file = /\.safetensors$/i.test(student) ? student : join(student, STUDENT_FILE);
  if (existsSync(file)) return { local: { directory: dirname(resolve(file)), file: basename(file) } };
  throw new UsageError(`--student ${student}: got no ${STUDENT_FILE} there, want what npm run convert wrote`);
}

/** What `load(…, { student })` looks for in a folder. */
export const STUDENT_FILE = "student.safetensors";

async function local(path) {
  const found = await localModel(path);
  if (typeof found === "string") throw new UsageError(found);
  return { local: found };
}

function read(argv, options) {
  const joined = [];
  for (let index = 0; index < argv.length; index++) {
    // A value may begin with a dash ("- item", -1), which parseArgs would take for an option.
    const takesValue = options[argv[index].slice(2)]?.type === "string" && argv[index].startsWith("--");
    const value = argv[index + 1];
    if (takesValue && value !== undefined && !/^--\w/.test(value)) joined.push(`${argv[index]}=${argv[++index]}`);
    else joined.push(argv[index]);
  }
  try {
    return parseArgs({ args: joined, options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const unknown = /^Unknown option '([^']*)'/.exec(error.message);
    if (unknown) throw new UsageError(`unknown option ${unknown[1]}. --help lists them.`);
    const stray = /^Unexpected argument '([^']*)'/.exec(error.message);
    if (stray) throw new UsageError(`unexpected argument "${stray[1]}". --help lists the options.`);
    const missing = /^Option '(?:-\w, )?(--[\w-]+)/.exec(error.message);
    if (missing && /missing|ambiguous/.test(error.message))
      throw new UsageError(`${missing[1]} needs a value. --help shows which.`);
    throw new UsageError(error.message.split("\n")[0]);
  }
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function number(values, name, least, most = Number.MAX_SAFE_INTEGER) {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new UsageError(`--${name} is "${text}", want a number ${span(least, most)}`);
  return value;
}

function integer(values, name, least, most = Number.MAX_SAFE_INTEGER) {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new UsageError(`--${name} is "${text}", want a whole number ${span(least, most)}`);
  return value;
}

const span = (least, most) => (most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`);

const defined = (record) => Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));

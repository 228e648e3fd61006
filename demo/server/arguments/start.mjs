// The arguments of `npm start`.

import { defined, integer, number, read, UsageError, wholeList } from "./read.mjs";

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

/** "K", "K,G" or "off". Which shapes a model can have, the engine knows. */
function swiftkv(text) {
  if (text === undefined) return undefined;
  if (text === "off") return false;
  const shape = /^(\d{1,4})(?:,([1-9]\d{0,3}))?$/.exec(text);
  if (!shape) throw new UsageError(`--swiftkv is "${text}", want K or K,G (whole numbers, G of at least 1), or off`);
  return { layers: Number(shape[1]), group: Number(shape[2] ?? 1) };
}

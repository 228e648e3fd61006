// The arguments of `npm start`.

import { defined, integer, number, read, UsageError, wholeList } from "./read.mjs";
import { withMaps } from "./sharing.mjs";

export const START_HELP = `npm start                                   the chat page in your browser
npm start -- --prompt "..."                 one reply on standard output, figures on standard error

  --prompt TEXT            what to answer; - reads standard input, as does leaving it out where text is piped in
  --messages FILE.json     a whole conversation instead: [{"role": "user", "content": "..."}, ...]
  --tokens 5,70,80         the prompt as token ids, instead of --prompt
  --system TEXT            system prompt
  --raw                    continue the text, without the chat template
  --variable NAME=VALUE    for the chat template, as enable_thinking=false; may be given several times. JSON, else text
  --tools FILE.json        functions the model may call, as JSON schemas, for the chat template
  --documents FILE.json    texts to answer from: [{"title": "...", "text": "..."}, ...], for the chat template
  --model MODEL            directory, .gguf file, URL, org/name on Hugging Face, or a name in models/ (default: fable)
  --max-tokens N           longest reply (default: what fits)
  --temperature T          0 = most likely token (default: what the model's authors recommend; 0 with --tokens)
  --top-p P --top-k K --min-p P --repetition-penalty R --seed S
  --kv RECIPE              how keys and values are kept: a format (f16, f32, int8, int4; default f16), or systems joined
                           by +, with options as in name:option=value,option=value. int8 and int4 are lossy
  --swiftkv K[,G]          convert to SwiftKV: the prompt passes K layers, G later ones share a cache (default 1);
                           not trained for it, so answers are poor. off: run a SwiftKV model as the one it came from
  --student DIR            a student of this model that npm run convert wrote: its folder, file or URL
  --trained FILE           weights that a system of --kv was trained to have on this model; may be given several times.
                           Those that come with this package are found without
  --context N              tokens of context
  --int8-products          read prompts in 8 bits, where weights have 8 or fewer: faster on many GPUs, slightly lossy
  --matrix-products        read prompts by subgroup matrices of f16, where the browser offers them; slightly lossy
  --json                   one line of JSON instead of text: the reply, and all figures of the engine
  --software               run on the CPU (SwiftShader)
  --port N, --no-open      for the page: its port; do not open a browser`;

const START = {
  prompt: { type: "string" },
  messages: { type: "string" },
  variable: { type: "string", multiple: true },
  tools: { type: "string" },
  documents: { type: "string" },
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
  trained: { type: "string", multiple: true },
  context: { type: "string" },
  "int8-products": { type: "boolean" },
  "matrix-products": { type: "boolean" },
  json: { type: "boolean" },
  software: { type: "boolean" },
  port: { type: "string" },
  "no-open": { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

const PAGE_ONLY = ["port", "no-open"];

/** What a prompt can come from. */
const PROMPTS = ["prompt", "messages", "tokens"];

/** Reads the arguments of `npm start`.
 * @param {readonly string[]} argv without node and script
 * @param {string} [piped] text on standard input, which stands for --prompt
 * @throws {UsageError} */
export function parseStart(argv, piped) {
  const given = read(argv, START);
  if (given.help) return { help: true };
  const asked = PROMPTS.some((name) => given[name] !== undefined);
  const values = asked || piped === undefined ? given : { ...given, prompt: piped };
  const others = Object.keys(values).filter((name) => !PAGE_ONLY.includes(name));
  if (!PROMPTS.some((name) => values[name] !== undefined)) {
    if (others.length > 0) throw new UsageError(`--${others[0]} needs --prompt or --tokens`);
    return { page: true, port: integer(values, "port", 0, 65535), open: !values["no-open"] };
  }
  checkTogether(values);
  return {
    prompt: values.prompt,
    messages: values.messages,
    variables: variables(values.variable),
    tools: values.tools,
    documents: values.documents,
    tokens: wholeList(values, "tokens", 0),
    system: values.system,
    raw: values.raw ?? false,
    model: values.model ?? "fable",
    json: values.json ?? false,
    software: values.software,
    student: values.student,
    trained: values.trained,
    load: defined({
      kv: withMaps(values.kv),
      swiftkv: swiftkv(values.swiftkv),
      context: integer(values, "context", 1),
      int8Products: values["int8-products"],
      matrixProducts: values["matrix-products"],
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
  const first = (names) => names.find((name) => values[name] !== undefined);
  const wording = first(["prompt", "messages", "system", "raw", ...TEMPLATE]);
  if (values.tokens !== undefined && wording)
    throw new UsageError(`--${wording} cannot go with --tokens, which are the whole prompt`);
  const chat = first(["messages", "system", ...TEMPLATE]);
  if (values.raw && chat) throw new UsageError(`--${chat} needs the chat template and cannot go with --raw`);
  const double = values.messages !== undefined && first(["prompt", "system"]);
  if (double) throw new UsageError(`--${double} cannot go with --messages, which are the whole conversation`);
}

/** What goes to the chat template beside the messages. */
const TEMPLATE = ["variable", "tools", "documents"];

/** ["enable_thinking=false"] → { enable_thinking: false } */
function variables(pairs) {
  return pairs && Object.fromEntries(pairs.map(variable));
}

function variable(pair) {
  const [, name, text] = /^([A-Za-z_]\w*)=(.*)$/s.exec(pair) ?? [];
  if (name === undefined) throw new UsageError(`--variable is "${pair}", want NAME=VALUE, as enable_thinking=false`);
  try {
    return [name, JSON.parse(text)];
  } catch {
    return [name, text]; // a word needs no quotes
  }
}

/** "K", "K,G" or "off". Which shapes a model can have, the engine knows. */
function swiftkv(text) {
  if (text === undefined) return undefined;
  if (text === "off") return false;
  const shape = /^(\d{1,4})(?:,([1-9]\d{0,3}))?$/.exec(text);
  if (!shape) throw new UsageError(`--swiftkv is "${text}", want K or K,G (whole numbers, G of at least 1), or off`);
  return { layers: Number(shape[1]), group: Number(shape[2] ?? 1) };
}

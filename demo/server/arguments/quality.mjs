// The arguments of `npm run quality`.

import { defined, integer, read, repeated, wholeList } from "./read.mjs";
import { withMaps } from "./sharing.mjs";

export const QUALITY_HELP = `npm run quality [-- options]

  --text FILE              plain text to measure on; may be given several times (default: stories written by Fable)
  --chat FILE.jsonl        conversations, {"messages": [...]} in each line: the last turn of the assistant is scored
  --rows "f16; int8"       what to compare with the dense model in f16, separated by semicolons: recipes as for --kv, and
                           a student, alone or before a recipe as in calibrated=22+int8 (default: f16; int8; int4):
                             swiftkv=K or swiftkv=K,G          the model's own weights, converted
                             calibrated=K or calibrated=K,G    fitted to the texts of --calibrate
                             student=DIR                       from its folder, file or URL
  --trained FILE           weights that a system of the rows was trained to have on this model; may be given several times.
                           Those that come with this package are found without
  --calibrate FILE ...     plain text that calibrated students are fitted to (default: the stories, unless measured on)
  --calibrate-tokens N     use so many tokens of them, in equal shares (default 20000)
  --model MODEL            directory, .gguf file, URL, org/name, or a name in models/ (default: fable)
  --measures ce,needle     which: ce (cross-entropy, KL, top-1), greedy, needle, second,
                           qa (default: all)
  --prompt N               tokens of a prompt (default 512); --chat: those of more are left out
  --continuation N         tokens scored after it (default 64)
  --windows N              parts of each text, or conversations of each file (default 3)
  --lengths 256,512        tokens of the needles' prompts (default: half of --prompt, and all of it)
  --depths 10,50,90        where the needles are in them, in percent
  --questions N            the first so many of the questions (default: all)
  --int8-products          rows read prompts in 8 bits, as for npm start; the dense model does not
  --matrix-products        rows read prompts by subgroup matrices, as for npm start; the dense model does not
  --json                   a line of JSON for each row instead of the table
  --plot FILE.svg          draw what was measured: KL, needles and time by bytes a token, needles by KL
  --software               run on the CPU (SwiftShader)`;

const QUALITY = {
  text: { type: "string", multiple: true },
  chat: { type: "string", multiple: true },
  calibrate: { type: "string", multiple: true },
  "calibrate-tokens": { type: "string" },
  rows: { type: "string" },
  trained: { type: "string", multiple: true },
  model: { type: "string" },
  measures: { type: "string" },
  prompt: { type: "string" },
  continuation: { type: "string" },
  windows: { type: "string" },
  lengths: { type: "string" },
  depths: { type: "string" },
  questions: { type: "string" },
  "int8-products": { type: "boolean" },
  "matrix-products": { type: "boolean" },
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
    trained: values.trained,
    model: values.model ?? "fable",
    json: values.json ?? false,
    plot: values.plot,
    software: values.software,
    options: defined({
      rows: withMaps(values.rows),
      calibrateTokens: integer(values, "calibrate-tokens", 1),
      measures: values.measures?.split(",").map((name) => name.trim()),
      prompt: integer(values, "prompt", 32, 65536),
      continuation: integer(values, "continuation", 2, 4096),
      windows: integer(values, "windows", 1, 1000),
      lengths: wholeList(values, "lengths", 96),
      depths: wholeList(values, "depths", 0, 100),
      questions: integer(values, "questions", 1),
      int8Products: values["int8-products"],
      matrixProducts: values["matrix-products"],
    }),
  };
}

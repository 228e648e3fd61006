// The arguments of `npm run serve`.

import { defined, integer, read, UsageError } from "./read.mjs";
import { withMaps } from "./sharing.mjs";

export const SERVE_HELP = `npm run serve                               a local server that speaks OpenAI's interface

  --model MODEL            directory, .gguf file, URL, org/name on Hugging Face, or a name in models/ (default: fable)
  --port N                 default 8080; 0 takes any free one
  --host ADDRESS           127.0.0.1 (default), ::1 or localhost: no other machine is let in
  --token T                clients must send it: "Authorization: Bearer T"
  --cors ORIGIN            pages of this origin may ask, as https://example.org (default: none)
  --kv RECIPE              how keys and values are kept, as for npm start
  --context N              tokens of context
  --sequences N            most replies at once (default 4)
  --int8-products          read prompts in 8 bits, as for npm start
  --matrix-products        read prompts by subgroup matrices, as for npm start
  --software               run on the CPU (SwiftShader)`;

const SERVE = {
  model: { type: "string" },
  port: { type: "string" },
  host: { type: "string" },
  token: { type: "string" },
  cors: { type: "string" },
  kv: { type: "string" },
  context: { type: "string" },
  sequences: { type: "string" },
  "int8-products": { type: "boolean" },
  "matrix-products": { type: "boolean" },
  software: { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

const LOOPBACK = ["127.0.0.1", "::1", "localhost"];

/** @param {readonly string[]} argv without node and script
 * @throws {UsageError} */
export function parseServe(argv) {
  const values = read(argv, SERVE);
  if (values.help) return { help: true };
  const { host = "127.0.0.1", token, cors } = values;
  if (!LOOPBACK.includes(host))
    throw new UsageError(`--host is "${host}", want ${LOOPBACK.join(", ")}: the server is for this machine alone`);
  if (token === "") throw new UsageError("--token is empty, want a text");
  if (cors !== undefined && originOf(cors) !== cors)
    throw new UsageError(`--cors is "${cors}", want an origin, as https://example.org`);
  return {
    model: values.model ?? "fable",
    port: integer(values, "port", 0, 65535) ?? 8080,
    host,
    guard: defined({ token, cors }),
    software: values.software ?? false,
    load: defined({
      kv: withMaps(values.kv),
      context: integer(values, "context", 1),
      sequences: integer(values, "sequences", 1, 64),
      int8Products: values["int8-products"],
      matrixProducts: values["matrix-products"],
    }),
  };
}

function originOf(text) {
  try {
    return new URL(text).origin;
  } catch {
    return null;
  }
}

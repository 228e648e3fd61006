#!/usr/bin/env bash
# @mlc-ai/web-xgrammar 0.1.27 (npm), seen with Node 20.20.2: what a JSON Schema forbids, the compiled grammar accepts.
#
# - An integer with a bound on one side only: { minimum: 3 } accepts 2, { maximum: -3 } accepts -2. With both bounds 9 is
#   refused beyond 5, as it should be.
# - A string with a length: a raw control character (U+0001) is accepted within the quotes, which no JSON text may have.
#   Without a length it is refused. JSON.parse throws on what such a reply is.
# - `multipleOf` and `not` are ignored, without an error and without a warning.
#
# So "the reply is held to the schema" has to be checked, or schemas brought into a form that is kept: bounds on both sides,
# lengths as patterns, the rest refused.
#
# Also: its package.json says "type": "module" and its only file is a script of the UMD kind, so Node cannot load it by import
# or require as published; `require` and `__filename` must be lent to it as globals, as below.
#
# Needs: node, npm, network. Exit status 0: as described here. Not 0: the behaviour has changed (or npm failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" @mlc-ai/web-xgrammar@0.1.27

echo 'import "@mlc-ai/web-xgrammar";' >plain.mjs
if node plain.mjs 2>/dev/null; then
  echo "it can be imported now"
  exit 1
fi

cat >seen.mjs <<'JS'
import { createRequire } from "node:module";

Object.assign(globalThis, { require: createRequire(import.meta.url), __filename: "/", __dirname: "/" });
const found = await import("@mlc-ai/web-xgrammar");
const { GrammarCompiler, GrammarMatcher, TokenizerInfo } = found.TokenizerInfo ? found : (found.default ?? globalThis.xgrammar);

// Token 0 ends a text; the others are one character each.
const characters = [...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)), "\u0001"];
const info = await TokenizerInfo.createTokenizerInfo(["</s>", ...characters], "raw", false, characters.length + 1, [0]);
const compiler = await GrammarCompiler.createGrammarCompiler(info);

async function accepts(schema, text) {
  const matcher = await GrammarMatcher.createGrammarMatcher(await compiler.compileJSONSchema(JSON.stringify(schema), false));
  return [...text].every((character) => matcher.acceptToken(1 + characters.indexOf(character))) && matcher.acceptToken(0);
}

for (const [schema, text] of [
  [{ type: "integer", minimum: 3, maximum: 5 }, "9"],
  [{ type: "integer", minimum: 3 }, "2"],
  [{ type: "integer", maximum: -3 }, "-2"],
  [{ type: "string" }, '"a\u0001b"'],
  [{ type: "string", maxLength: 3 }, '"a\u0001b"'],
  [{ type: "integer", multipleOf: 5 }, "7"],
  [{ type: "integer", not: { const: 3 } }, "3"],
])
  console.log(`${JSON.stringify(schema)} ${JSON.stringify(text)} ${(await accepts(schema, text)) ? "accepted" : "refused"}`);
JS

node seen.mjs >seen.txt
cat seen.txt
diff - seen.txt <<'SEEN'
{"type":"integer","minimum":3,"maximum":5} "9" refused
{"type":"integer","minimum":3} "2" accepted
{"type":"integer","maximum":-3} "-2" accepted
{"type":"string"} "\"a\u0001b\"" refused
{"type":"string","maxLength":3} "\"a\u0001b\"" accepted
{"type":"integer","multipleOf":5} "7" accepted
{"type":"integer","not":{"const":3}} "3" accepted
SEEN

#!/usr/bin/env bash
# wgsl_reflect 1.6.0 (npm), seen with Node 20.20.2: in detectRaces(), all invocations of a workgroup share what a function
# call gave.
#
# The shader below has no data race: invocation i writes element 2i and nobody reads. With the expression written in
# place, detectRaces() says so and the buffer is right. With the same expression in a function, called by a `let`, it
# reports six races, all on element 6, and only that element is written: every invocation uses the value that the last
# invocation got from the call. If the result is stored and not used as an index, there is no report at all, only wrong
# numbers. Invocations advance in turn, statement by statement, and the value of a call waits for its statement in a field
# of the call's syntax node, of which there is one for all of them.
#
# Running the same shader with WgslExec, which takes one invocation after the other, gives the right numbers.
#
# Needs: node, npm, network. Exit status 0: as described here. Not 0: the behaviour has changed (or npm failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" wgsl_reflect@1.6.0

cat >seen.mjs <<'JS'
import { detectRaces, WgslExec, WgslParser } from "wgsl_reflect/wgsl_reflect.module.js";

const shader = (body) => `
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
fn twice(x: u32) -> u32 { return x * 2u; }
@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) i: u32) {
  ${body}
}`;

for (const body of [
  "let at = i * 2u; data[at] = i + 10u;",
  "let at = twice(i); data[at] = i + 10u;",
  "data[i] = i * 2u;",
  "data[i] = twice(i);",
]) {
  const data = new Uint32Array(8);
  const { races } = detectRaces(shader(body), "main", [1, 1, 1], { 0: { 0: data } });
  const alone = new Uint32Array(8);
  new WgslExec(new WgslParser().parse(shader(body))).dispatchWorkgroups("main", [1, 1, 1], { 0: { 0: alone } });
  console.log(`${body} races ${races.length}, data ${data}, WgslExec ${alone}`);
}
JS

node seen.mjs >seen.txt
cat seen.txt
diff - seen.txt <<'SEEN'
let at = i * 2u; data[at] = i + 10u; races 0, data 10,0,11,0,12,0,13,0, WgslExec 10,0,11,0,12,0,13,0
let at = twice(i); data[at] = i + 10u; races 6, data 0,0,0,0,0,0,13,0, WgslExec 10,0,11,0,12,0,13,0
data[i] = i * 2u; races 0, data 0,2,4,6,0,0,0,0, WgslExec 0,2,4,6,0,0,0,0
data[i] = twice(i); races 0, data 6,6,6,6,0,0,0,0, WgslExec 0,2,4,6,0,0,0,0
SEEN

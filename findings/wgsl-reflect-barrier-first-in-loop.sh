#!/usr/bin/env bash
# wgsl_reflect 1.6.0 (npm): the race detector takes no notice of a barrier that is the first statement of a for loop's body.
#
# Two shaders do the same: each of four invocations writes its place in workgroup memory, then adds its neighbours' numbers
# in a loop, with a barrier between every write and the read that follows. In the one the barrier stands at the end of the
# loop's body (and one before the loop), in the other at its beginning (and one behind the loop). Neither has a race.
# detectRaces() finds none in the first and eight in the second: it orders the accesses before the loop and those of the
# first round as if there were no barrier between them. In a `loop` whose barrier follows the `break`
# it finds none either.
#
# Whoever uses the detector in tests has to write loops with the barrier last, or gets races that are none.
#
# Needs: node, npm, network. Exit status 0: as described here. Not 0: the behaviour has changed (or npm failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" wgsl_reflect@1.6.0

cat >seen.mjs <<'JS'
import { detectRaces } from "wgsl_reflect/wgsl_reflect.module.js";

const shader = (body) => `
var<workgroup> lane: array<u32, 4>;
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) i: u32) {
  lane[i] = i;
  ${body}
  out[i] = lane[i];
}`;
const add = "let other = lane[i ^ s]; workgroupBarrier(); lane[i] = lane[i] + other;";
const loops = {
  "for, barrier last": `workgroupBarrier(); for (var s = 1u; s < 4u; s *= 2u) { ${add} workgroupBarrier(); }`,
  "for, barrier first": `for (var s = 1u; s < 4u; s *= 2u) { workgroupBarrier(); ${add} } workgroupBarrier();`,
  "loop, barrier after break": `var s = 1u; loop { if (s >= 4u) { break; } workgroupBarrier(); ${add} s *= 2u; } workgroupBarrier();`,
};
for (const [name, body] of Object.entries(loops)) {
  const { races, errors } = detectRaces(shader(body), "main", [1, 1, 1], { 0: { 0: new Uint32Array(4) } });
  console.log(`${name}: ${races.length > 0 ? "races" : "no race"}, ${errors.length} errors`);
}
JS
node seen.mjs | tee out.txt
diff out.txt - <<'TXT'
for, barrier last: no race, 0 errors
for, barrier first: races, 0 errors
loop, barrier after break: no race, 0 errors
TXT

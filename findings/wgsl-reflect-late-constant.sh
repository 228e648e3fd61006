#!/usr/bin/env bash
# wgsl_reflect 1.6.0 (npm), seen with Node 20.20.2: an array size that is an expression becomes 1, without a message, if
# its constant is declared further down.
#
# In WGSL a module-scope name may be used above its declaration. Below, the same two lines stand in both orders. If the
# size is the constant's name alone, both orders give the right layout: 4 × 16 bytes for the array, `scale` at offset 64,
# 80 bytes in all. If the size is `N * 2u`, the order with the constant last gives an array of one element: `scale` at
# offset 16, 32 bytes in all. Who fills a uniform buffer by this layout writes to the wrong place.
#
# Needs: node, npm, network. Exit status 0: as described here. Not 0: the behaviour has changed (or npm failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" wgsl_reflect@1.6.0

cat >seen.mjs <<'JS'
import { WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";

const struct = (size) => `struct Params { rows: array<vec4f, ${size}>, scale: f32 }`;
const rest = `
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(1) fn main() { data[0] = params.scale; }`;

for (const [constant, size] of [["const N = 4u;", "N"], ["const N = 2u;", "N * 2u"]])
  for (const lines of [[constant, struct(size)], [struct(size), constant]]) {
    const [params] = new WgslReflect(lines.join("\n") + rest).uniforms;
    const scale = params.members.find(({ name }) => name === "scale");
    console.log(`array<vec4f, ${size}>, constant ${lines[0] === constant ? "first" : "last"}: scale at ${scale.offset}, size ${params.size}`);
  }
JS

node seen.mjs >seen.txt
cat seen.txt
diff - seen.txt <<'SEEN'
array<vec4f, N>, constant first: scale at 64, size 80
array<vec4f, N>, constant last: scale at 64, size 80
array<vec4f, N * 2u>, constant first: scale at 64, size 80
array<vec4f, N * 2u>, constant last: scale at 16, size 32
SEEN

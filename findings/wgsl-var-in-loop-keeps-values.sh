#!/usr/bin/env bash
# webgpu 0.6.2 (npm, Dawn for Node) on Vulkan, seen with Node 20.20.2 on Linux x64 on SwiftShader (of Chromium 156) and on
# lavapipe (Mesa 25.0.7): a `var` that a loop's body declares without an initialiser keeps the values of the turn before.
#
# WGSL ("Variable and Value Declarations"): the lifetime of a function variable begins when control enters its declaration,
# and without an initialiser it has the zero value then. Dawn's compiler gives such a variable its zeros where the function
# begins, once. So sums that are meant to begin at zero in each turn go on; an explicit `= 0.0` or `= array<f32, 2>()` helps.
# wgpu had the same fault until 2026 (gfx-rs/wgpu issue 9489).
#
# Whoever writes WGSL for browsers should give variables in loops a value.
#
# Needs: node, npm, network, a Vulkan driver; by default SwiftShader as Debian's chromium installs it (CHROMIUM_LIB, default
# /usr/lib/chromium). Exit status 0: as described here. Not 0: the behaviour has changed (or npm failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" webgpu@0.6.2

cat >seen.mjs <<'JS'
import { create, globals } from "webgpu";
Object.assign(globalThis, globals);
const gpu = create([]);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error("no adapter: set CHROMIUM_LIB to a folder with libvulkan.so.1 and vk_swiftshader_icd.json");
const device = await adapter.requestDevice();
const codeOf = (value) => `
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(1)
fn main() {
  for (var turn = 0u; turn < 4u; turn++) {
    var number: f32${value ? " = 0.0" : ""};
    var list: array<f32, 2>${value ? " = array<f32, 2>()" : ""};
    number += 1.0;
    list[turn % 2u] += 1.0;
    out[3u * turn] = number;
    out[3u * turn + 1u] = list[0];
    out[3u * turn + 2u] = list[1];
  }
}`;
for (const value of [false, true]) {
  const module = device.createShaderModule({ code: codeOf(value) });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
  const buffer = device.createBuffer({ size: 48, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const copy = device.createBuffer({ size: 48, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer } }] }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, 48);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const all = [...new Float32Array(copy.getMappedRange())];
  const turns = [0, 1, 2, 3].map((turn) => all.slice(3 * turn, 3 * turn + 3).join(" "));
  console.log(`${value ? "with" : "without"} initialisers: ${turns.join(" | ")}`);
}
process.exit(0);
JS

lib=${CHROMIUM_LIB:-/usr/lib/chromium}
export VK_ICD_FILENAMES=${VK_ICD_FILENAMES:-$lib/vk_swiftshader_icd.json}
LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} node seen.mjs >seen.txt
cat seen.txt
diff - seen.txt <<'SEEN'
without initialisers: 1 1 0 | 2 1 1 | 3 2 1 | 4 2 2
with initialisers: 1 1 0 | 1 0 1 | 1 1 0 | 1 0 1
SEEN

#!/usr/bin/env bash
# webgpu 0.6.2 (npm, Dawn for Node), seen with Node 20.20.2 on Linux x64: after device.destroy(), a pending mapAsync()
# settles after an onSubmittedWorkDone() that was called later.
#
# The WebGPU specification (section "Promise Ordering") promises little about the order in which promises settle, but this
# it does: a mapAsync() called before an onSubmittedWorkDone() on the same device settles before it. It names no
# exception. Dawn in Node keeps the promise if nothing happens, and also if the buffer is destroyed; if the device is
# destroyed, device.lost comes first, then the work is "done", and the map is rejected last. So whoever waits for
# onSubmittedWorkDone() to know that earlier maps have settled does not know it. The rejection is an AbortError, as
# specified.
#
# All three promises get their handler at once, so the order of the handlers is the order in which the promises settle.
# The script uses Dawn's null backend, which needs no GPU and no driver; the order is the same on SwiftShader (Vulkan).
#
# Needs: node, npm, network. Exit status 0: as described here. Not 0: the behaviour has changed (or npm failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" webgpu@0.6.2

cat >seen.mjs <<'JS'
import { create, globals } from "webgpu";
Object.assign(globalThis, globals);
const gpu = create(["backend=null"]);

for (const destroyed of ["nothing", "buffer", "device"]) {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("no adapter: this build of Dawn lacks the null backend");
  const device = await adapter.requestDevice();
  const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const order = [];
  const note = (name, promise) => promise.then(() => order.push(name), (error) => order.push(`${name} (${error.name})`));
  const lost = note("lost", device.lost);
  const map = note("map", buffer.mapAsync(GPUMapMode.READ));
  const done = note("work done", device.queue.onSubmittedWorkDone());
  if (destroyed === "buffer") buffer.destroy();
  if (destroyed === "device") device.destroy();
  await Promise.all(destroyed === "device" ? [map, done, lost] : [map, done]);
  console.log(`destroyed ${destroyed}: ${order.join(", ")}`);
}
process.exit(0);
JS

node seen.mjs >seen.txt
cat seen.txt
diff - seen.txt <<'SEEN'
destroyed nothing: map, work done
destroyed buffer: map (AbortError), work done
destroyed device: lost, work done, map (AbortError)
SEEN

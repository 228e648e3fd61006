// Kernel tests on Dawn in Node: `node test/native.mjs [kernel …]` (--list: their names). Same cases as in the browser, minutes faster
// while writing a kernel, and the way to run them on a GPU machine that has no browser.
import { argv, exit } from "node:process";
import { create, globals } from "webgpu";
import { allSpecs } from "./index.ts";
import { races } from "./race.ts";
import { halved, makeCases, moreProblemsOf, problemsOf, runCases, seeds } from "./spec.ts";

if (argv.includes("--list")) {
  for (const { kernel } of allSpecs) console.log(kernel.name);
  exit(0);
}

Object.assign(globalThis, globals);
// Dawn's instance must outlive its adapters: keep it reachable.
const gpu = create(["enable-dawn-features=allow_unsafe_apis"]);
Object.assign(globalThis, { gpu });
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error("no WebGPU adapter: GPU tests fail, they do not skip");
console.log(`${adapter.info.vendor} ${adapter.info.architecture} ${adapter.info.description}`);
const small = argv.includes("--small"); // texts as builds have them: mutants are edits of the files' own text
const wanted = argv.slice(2).filter((word) => word !== "--small");
const MATRICES = "chromium-experimental-subgroup-matrix";
let failed = 0;
for (const spec of allSpecs) {
  const adapter = (await gpu.requestAdapter())!; // an adapter gives one device only
  const { name, features } = spec.kernel;
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const missing = features.filter((f) => !adapter.features.has(f as GPUFeatureName));
  if (missing.length > 0) {
    console.log(`- ${name}: adapter lacks ${missing.join(", ")}`);
    continue;
  }
  const half = "HALF" in spec.kernel.tiles && adapter.features.has("shader-f16") ? (["shader-f16"] as const) : [];
  const isHalved = half.length > 0 && !features.includes(MATRICES); // cases of matrices are of what the adapter has
  const { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupStorageSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: [...(features as GPUFeatureName[]), ...half],
    requiredLimits: { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupStorageSize },
  });
  Object.defineProperty(device, "adapterInfo", { value: adapter.info }); // Dawn's devices list no subgroup matrices
  device.onuncapturederror = ({ error }) => console.log(`  ${name}: ${error.message}`);
  const started = performance.now();
  const problems = small
    ? await runCases(device, spec, makeCases(device, spec, seeds(0, spec.cases)))
    : await problemsOf(device, spec);
  problems.push(...(await moreProblemsOf(device, spec)));
  if (isHalved)
    problems.push(...(await runCases(device, halved(spec), makeCases(device, halved(spec), seeds(0, spec.cases)))));
  if (!small && typeof spec.race === "function") problems.push(...(await races(spec, spec.race())));
  failed += problems.length === 0 ? 0 : 1;
  console.log(`${problems.length === 0 ? "ok" : "FAILED"} ${name} ${Math.round(performance.now() - started)} ms`);
  for (const problem of problems.slice(0, 5)) console.log(`  ${problem}`);
  device.destroy();
}
exit(failed === 0 ? 0 : 1);

import { create, globals } from "webgpu";
import { argv, exit } from "node:process";
import { readFileSync, readdirSync } from "node:fs";
import { load } from "../src/index.ts";
Object.assign(globalThis, globals);
const gpu = create([]);
Object.assign(globalThis, { gpu });
const [dir, kv = "f32", only] = argv.slice(2);
const adapter = (await gpu.requestAdapter())!;
const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
const device = await adapter.requestDevice({ requiredFeatures: ["subgroups", "timestamp-query"] as GPUFeatureName[], requiredLimits: { maxStorageBufferBindingSize, maxBufferSize } });
device.onuncapturederror = ({ error }) => console.log(error.message);
const golden = JSON.parse(readFileSync(`${dir}/golden.json`, "utf8"));
const names = readdirSync(dir!, { withFileTypes: true }).filter((f) => f.isFile()).map((f) => f.name);
const gguf = names.find((n) => n.endsWith(".gguf"));
const files = (gguf ? [gguf] : names).map((name) => new File([readFileSync(`${dir}/${name}`)], name));
const t0 = performance.now();
const engine = await load(files, { device, kv: kv as "f32", tune: "off", context: 2048, onProgress: (p) => p.phase !== "download" && console.log(p.phase) });
console.log("load", Math.round(performance.now() - t0), engine.stats());
for (const c of golden.cases ?? [{ name: "greedy", prompt: [golden.tokens[0]], tokens: golden.tokens.slice(1) }]) {
  if (only && c.name !== only) continue;
  const r = await engine.session().generate({ tokens: c.prompt }, { maxTokens: c.tokens.length, ignoreEnd: true }).result;
  let same = 0; while (same < c.tokens.length && r.tokens[same] === c.tokens[same]) same++;
  console.log(c.name, c.prompt.length, `${same}/${c.tokens.length}`, JSON.stringify(r.stats), r.text.slice(0, 60));
}
const { submits, dispatches, readbacks, readbackBytes, objectsCreated } = engine.stats();
console.log({ submits, dispatches, readbacks, readbackBytes, objectsCreated });
for (const phase of (only ? ["decode", "prefill"] : []) as ("decode" | "prefill")[]) {
  const rows = await engine.profile(phase, phase === "decode" ? 128 : 256);
  const by = new Map<string, { n: number; us: number; bytes: number; flops: number }>();
  for (const r of rows) { const k = r.label.replace(/layer \d+ /, "") + " " + r.kernel; const b = by.get(k) ?? { n: 0, us: 0, bytes: 0, flops: 0 }; b.n++; b.us += r.microseconds; b.bytes += r.bytes; b.flops += r.flops; by.set(k, b); }
  console.log(phase); for (const [k, b] of by) console.log(`  ${k.padEnd(40)} ${b.n} ${(b.us / 1000).toFixed(2)} ms ${(b.bytes / b.us / 1000).toFixed(2)} GB/s ${(b.flops / b.us / 1000).toFixed(2)} GFLOP/s`);
}
exit(0);

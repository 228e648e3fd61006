import { create, globals } from "webgpu";
import { argv, exit } from "node:process";
import { VARIANTS, makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { load } from "../src/index.ts";
Object.assign(globalThis, globals);
const gpu = create([]);
Object.assign(globalThis, { gpu });
for (const variant of argv.length > 2 ? argv.slice(2) : VARIANTS) {
  const adapter = (await gpu.requestAdapter())!;
  const device = await adapter.requestDevice({ requiredFeatures: ["subgroups"] as GPUFeatureName[] });
  device.onuncapturederror = ({ error }) => console.log(error.message);
  const golden = readGolden(variant);
  const files = [...toFiles(makeCheckpoint(variant), golden.dtype)].map(([name, bytes]) => new File([bytes as BlobPart], name));
  try {
    const t0 = performance.now();
    const engine = await load(files, { device, kv: "f32", tune: "off", context: 256 });
    const { tokens } = await engine.session().generate({ tokens: golden.prompt }, { maxTokens: 24, ignoreEnd: true }).result;
    const scores = await engine.score(golden.prompt);
    const worst = Math.max(...scores.slice(1).map((s, i) => Math.abs(s - golden.logprobs[i + 1]!)));
    console.log(variant, JSON.stringify(tokens) === JSON.stringify(golden.greedy.tokens) ? "EQUAL" : `DIFFERENT\n${tokens}\n${golden.greedy.tokens}`, worst, Math.round(performance.now() - t0), "ms");
  } catch (e) { console.log(variant, e); }
}
exit(0);

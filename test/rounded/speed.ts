// How long prompts take with products of rounded rows beside f32, in turn: CPU time of the adapter's threads, and wall time.
//   [PRODUCTS=matrix] node test/native.mjs --entry test/rounded/speed.ts MODEL LENGTHS PAIRS
// MODEL: a .gguf or a checkpoint's folder. LENGTHS: as 64,512.
import { argv, exit } from "node:process";
import type { Engine } from "../../src/index.ts";
import { type Cost, median, timed } from "../recovery/time.ts";
import { openBoth } from "./open.ts";

const [model, given, pairs] = argv.slice(2) as [string, string, string];
const lengths = given.split(",").map(Number);
const engines = await openBoth(model, Math.max(...lengths) + 32);
const { vocabulary } = engines.f32.model;

let seed = 0;
const read = (engine: Engine, length: number): Promise<Cost> => {
  const tokens = Array.from({ length }, (_, i) => (7 * i + 13 * seed) % vocabulary);
  seed++;
  return timed(() => engine.session().generate({ tokens }, { maxTokens: 1, ignoreEnd: true, reuse: false }).result);
};

console.log(engines.f32.stats().adapter.name, JSON.stringify(engines.rounded.stats().variants));
for (const length of lengths) {
  for (const engine of Object.values(engines)) await read(engine, length);
  const costs: Record<keyof typeof engines, Cost[]> = { f32: [], rounded: [] };
  for (let i = 0; i < Number(pairs); i++)
    for (const [name, engine] of Object.entries(engines))
      costs[name as keyof typeof engines].push(await read(engine, length));
  for (const what of ["cpu", "wall"] as const) {
    const [f32, rounded] = (["f32", "rounded"] as const).map((name) => costs[name].map((cost) => cost[what]));
    const ratio = median(f32!.map((value, i) => value / rounded![i]!));
    const times = `${median(f32!).toFixed(0)} and ${median(rounded!).toFixed(0)} ms`;
    console.log(`${length} tokens, ${what}: f32 and rounded ${times}, ${ratio.toFixed(2)} times as fast`);
  }
}
exit(0);

// The cost of context as speed.full.test.ts has it, in CPU time of the adapter's threads: for a machine that does other work.
//   node test/native.mjs --entry test/kv/shadow/speed.ts MODEL.gguf "f16;shadow:budget=512,values=int8" 128,4096,8192,16384 5 [TRAINED FILES]
// With KERNELS=gpu the adapter says that it is a GPU.
import { openGpu, useDawn } from "../../dawn.ts";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { argv, env, exit } from "node:process";
import { median, timed } from "../../recovery/time.ts";
import { measure } from "./measure.ts";

useDawn();

const [model, recipes, lengths, rounds, ...files] = argv.slice(2) as [string, string, string, string, ...string[]];
const trained = files.map((path) => new File([readFileSync(path)], basename(path)));
const setting = {
  recipes: recipes.split(";"),
  lengths: lengths.split(",").map(Number),
  rounds: Number(rounds),
  trained,
  ...(env.KERNELS === "gpu" && { device: openGpu }),
};
const cpu = async (work: () => Promise<void>): Promise<number> => (await timed(work)).cpu;
const { adapter, results } = await measure(new File([readFileSync(model)], "model.gguf"), setting, console.log, cpu);
console.log(adapter);
for (const { recipe, tokens, changing, same, end, prefill } of results)
  console.log(
    `${tokens} ${recipe}: ${median(changing).toFixed(0)} ms, same query ${median(same).toFixed(0)} ms, prompt's end ${end.toFixed(0)} of ${prefill.toFixed(0)} ms`,
  );
exit(0);

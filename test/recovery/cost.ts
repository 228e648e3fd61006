// What the taps of a calibration cost: chunks of a prompt with them against chunks without, in turn, in CPU time of the
// adapter's threads (an adapter that runs on the CPU) and in wall time; and the bytes they add.
//   node test/native.mjs --entry test/recovery/cost.ts MODEL K ROWS PAIRS
import { argv, exit } from "node:process";
import type { AnyDispatch } from "../../src/gpu/program.ts";
import { readWindow } from "../../src/model/calibrate.ts";
import { tapped } from "../../src/model/forward.ts";
import type { Sizes } from "../../src/model/ops/sizes.ts";
import { Moments } from "../../src/model/swiftkv/moments.ts";
import { openModel } from "./open.ts";
import { median, timed } from "./time.ts";

const [model, layers, rows, pairs] = argv.slice(2) as [string, ...string[]];
const { gpu, dense, config } = await openModel(model, 512);
const { context } = dense.transformer;
const own = gpu.fork();
const moments = new Moments(own, context, Number(layers));
const program = (before: (layer: number) => AnyDispatch<Sizes>[]) => tapped({ ...context, gpu: own }, before);
// Without taps the last layer counts too, as it does in a prompt.
const plain = await program(() => []);
const taps = await program((layer) => moments.before(layer));
const tokens = Array.from({ length: Number(rows) }, (_, i) => (7 * i + 3) % config.vocabulary);

const time = (each: typeof plain) => timed(() => readWindow(dense.transformer, each, tokens, () => {}));

for (const each of [plain, taps]) await time(each);
const ratios = { cpu: [] as number[], wall: [] as number[] };
for (let i = 0; i < Number(pairs); i++) {
  const [without, with_] = [await time(plain), await time(taps)];
  // L − 1 layers were run.
  const whole = (part: number) => (part * config.layers) / (config.layers - 1);
  ratios.cpu.push(with_.cpu / whole(without.cpu));
  ratios.wall.push(with_.wall / whole(without.wall));
  console.log(
    `without ${Math.round(without.cpu)} ms CPU, with ${Math.round(with_.cpu)}; wall ${Math.round(without.wall)}, ${Math.round(with_.wall)}`,
  );
}
console.log(
  `K ${layers}, chunks of ${rows}: ${median(ratios.cpu).toFixed(3)} × the CPU time of a prompt, ${median(ratios.wall).toFixed(3)} × wall`,
);
console.log(`${(own.bytes.scratch / 1e6).toFixed(1)} MB added`);
exit(0);

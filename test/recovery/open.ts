// A model on Dawn in Node, for the programs beside this file.
import { useDawn } from "../dawn.ts";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { Gpu } from "../../src/gpu/device.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { layoutOf } from "../../src/kv/systems/swiftkv/layout.ts";
import { readConfig, readLanguage } from "../../src/load/read.ts";
import { assemble, makeReady } from "../../src/load/running.ts";
import { checkOptions } from "../../src/load/settings.ts";
import { nameWeights } from "../../src/model/names.ts";
import { WeightLoader } from "../../src/model/weights/loader.ts";

useDawn();

/** An ordinary model, from a .gguf or a checkpoint's folder, with an f32 cache of `window` tokens. */
export async function openModel(path: string, window: number) {
  const gpu = await Gpu.open();
  const paths = path.endsWith(".gguf") ? [path] : readdirSync(path).map((name) => join(path, name));
  const files = paths.filter((each) => statSync(each).isFile());
  const checkpoint = await openCheckpoint(files.map((each) => new File([readFileSync(each)], basename(each))));
  const { config } = await readConfig(checkpoint, undefined);
  const { tokenizer } = await readLanguage(checkpoint);
  const settings = await checkOptions({ kv: "f32", context: window, tune: "auto", sequences: 1 });
  const loader = new WeightLoader(gpu, checkpoint, "keep");
  const weights = nameWeights(loader, config, layoutOf(config.layers, null));
  const dense = await assemble(gpu, config, weights, settings, loader);
  await loader.load();
  await makeReady(dense, settings, { report: () => {}, signal: undefined });
  return { gpu, config, tokenizer, settings, weights, dense, hash: await loader.hash() };
}

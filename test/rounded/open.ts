// A model on Dawn in Node twice, on the same weights: its products in f32, and those of prompts with rounded rows, in int8 or with
// PRODUCTS=matrix by subgroup matrices. With KERNELS=gpu the adapter says that it is a GPU, so that what it runs beside them are a
// GPU's kernels; WEIGHTS=q8 rounds weights of 16 bits, which have no products in int8.
import { openGpu, useDawn } from "../dawn.ts";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { env } from "node:process";
import { convert, type Engine, load, type WeightFormat } from "../../src/index.ts";

useDawn();

const asked = env.PRODUCTS === "matrix" ? { matrixProducts: true } : { int8Products: true };

/** Of a .gguf or a checkpoint's folder. Prompts are read in chunks of 512. */
export async function openBoth(path: string, context: number): Promise<Record<"f32" | "rounded", Engine>> {
  const paths = path.endsWith(".gguf") ? [path] : readdirSync(path).map((name) => join(path, name));
  const files = paths.filter((each) => statSync(each).isFile());
  const source = files.map((each) => new File([readFileSync(each)], basename(each)));
  const device = env.KERNELS === "gpu" ? { device: openGpu } : {};
  const weights = (env.WEIGHTS ?? "keep") as WeightFormat;
  const f32 = await load(source, { context, weights, sequences: 1, tune: "off", ...device });
  const rounded = await convert(f32, false, { ...asked, tune: "off" });
  return { f32, rounded };
}

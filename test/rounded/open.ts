// A model on Dawn in Node twice, on the same weights: its products in f32, and those of prompts with rounded rows, in int8 or with
// PRODUCTS=matrix by subgroup matrices. With KERNELS=gpu the adapter says that it is a GPU, so that what it runs beside them are a
// GPU's kernels; WEIGHTS=q8 rounds weights of 16 bits, which have no products in int8.
import { useDawn } from "../dawn.ts";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { env } from "node:process";
import { WANTED_FEATURES } from "../../src/gpu/offer.ts";
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

/** A device whose adapter says that it is a GPU, with all that kernels may use. */
export async function openGpu(): Promise<GPUDevice> {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupStorageSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter((name) => adapter.features.has(name)),
    requiredLimits: { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupStorageSize },
  });
  const { subgroupMinSize, subgroupMaxSize, description } = adapter.info;
  const { subgroupMatrixConfigs } = adapter.info as { subgroupMatrixConfigs?: unknown }; // Dawn's devices list none
  const vendor = `${description}, as a GPU`;
  const value = { vendor, subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs };
  Object.defineProperty(device, "adapterInfo", { value });
  return device;
}

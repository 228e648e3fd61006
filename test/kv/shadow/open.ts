// Models whose inside tests of ShadowKV look at. Runs in a page.
import type { LoadOptions } from "../../../src/api.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { openCheckpoint } from "../../../src/io/checkpoint.ts";
import { layoutOf } from "../../../src/kv/systems/swiftkv/layout.ts";
import { readConfig } from "../../../src/load/read.ts";
import { assemble, makeReady } from "../../../src/load/running.ts";
import { checkOptions } from "../../../src/load/settings.ts";
import type { ModelConfig } from "../../../src/model/config.ts";
import type { Weights } from "../../../src/model/context.ts";
import { nameWeights } from "../../../src/model/names.ts";
import type { Transformer } from "../../../src/model/transformer.ts";
import { WeightLoader } from "../../../src/model/weights/loader.ts";

export interface Loaded {
  config: ModelConfig;
  weights: Weights;
}

export async function loadWeights(gpu: Gpu, source: Parameters<typeof openCheckpoint>[0]): Promise<Loaded> {
  const checkpoint = await openCheckpoint(source);
  const { config } = await readConfig(checkpoint, undefined);
  const loader = new WeightLoader(gpu, checkpoint, "keep");
  const weights = nameWeights(loader, config, layoutOf(config.layers, null));
  await loader.load();
  return { config, weights };
}

/** A single file by its address. */
export const fileAt = async (address: string): Promise<File> =>
  new File([await (await fetch(address)).blob()], address.split("/").at(-1)!);

/** Unless options say otherwise, for one sequence and with the default kernels. */
export async function running(
  gpu: Gpu,
  { config, weights }: Loaded,
  options: Pick<LoadOptions, "kv" | "context" | "chunk" | "reserve" | "sequences" | "tune" | "trained">,
): Promise<Transformer> {
  const settings = await checkOptions({ sequences: 1, tune: "off", ...options });
  const model = await assemble(gpu, config, weights, settings);
  await makeReady(model, settings, { report: () => {}, signal: undefined });
  return model.transformer;
}

/** What a buffer holds once the steps launched so far are done. */
export async function readBuffer({ device }: Gpu, buffer: GPUBuffer): Promise<ArrayBuffer> {
  const { COPY_DST, MAP_READ } = GPUBufferUsage;
  const staging = device.createBuffer({ size: buffer.size, usage: COPY_DST | MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const bytes = staging.getMappedRange().slice(0);
  staging.destroy();
  return bytes;
}

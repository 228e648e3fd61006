// Dawn's WebGPU for programs in Node, where pages have it.
import { create, globals } from "webgpu";
import { WANTED_FEATURES } from "../src/gpu/offer.ts";

/** All features, and clocks that are not rounded to 0.1 ms. */
const OPTIONS = ["enable-dawn-features=allow_unsafe_apis", "disable-dawn-features=timestamp_quantization"];

/** Puts it there. (A function: the package says that its modules do nothing when they are imported.) */
export function useDawn(): void {
  Object.assign(globalThis, globals);
  // Its instance must outlive its adapters: it stays reachable here.
  const gpu = create(OPTIONS);
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
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

// The device that the engines of a page share, unless a test loses it or needs another one: what one compiled, the next finds.

const WANTED: readonly GPUFeatureName[] = ["subgroups", "timestamp-query"];

export async function openDevice(wanted = WANTED): Promise<GPUDevice> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error("no WebGPU adapter: GPU tests fail, they do not skip");
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  return adapter.requestDevice({
    requiredFeatures: wanted.filter((feature) => adapter.features.has(feature)),
    requiredLimits: { maxStorageBufferBindingSize, maxBufferSize },
  });
}

let opened: Promise<GPUDevice> | undefined;

export const sharedDevice = (): Promise<GPUDevice> => (opened ??= openDevice());

// A device without memory: it takes every call and does nothing, so that what is made on it can be counted beforehand.
import type { KernelSource } from "./kernel.ts";

/** A dispatch as it is encoded, with what it costs. */
export interface Dispatched {
  kernel: KernelSource;
  constants: Readonly<Record<string, number>>;
  label: string;
  grid: readonly [number, number, number];
  /** Bytes moved and floating-point operations, as in the shader's `cost` line. */
  bytes: number;
  flops: number;
}

/** What is copied of an adapter or a device. */
export interface DeviceFacts {
  limits: GPUSupportedLimits;
  features: GPUSupportedFeatures;
  info: Partial<GPUAdapterInfo> | undefined;
}

/** Answers every call and every question with itself. It is no promise, so it can be awaited. */
const nothing: unknown = new Proxy(() => {}, {
  get: (_, name) => (name === "then" ? undefined : nothing),
  apply: () => nothing,
});

const never = new Promise<never>(() => {});

/** Reads as zeros. */
const paperBuffer = ({ size, label, usage }: GPUBufferDescriptor) => ({
  size,
  label,
  usage,
  destroy: () => {},
  mapAsync: async () => {},
  getMappedRange: (_offset: number, bytes = size) => new ArrayBuffer(bytes),
  unmap: () => {},
});

export function paperDevice({ limits, features, info }: DeviceFacts): GPUDevice {
  const own: Record<string, unknown> = {
    limits,
    features,
    adapterInfo: info ?? {},
    lost: never,
    createBuffer: paperBuffer,
    queue: { submit: () => {}, writeBuffer: () => {}, onSubmittedWorkDone: async () => {} },
    popErrorScope: () => Promise.resolve(null),
  };
  const device: unknown = new Proxy(own, { get: (known, name) => Reflect.get(known, name) ?? nothing });
  return device as GPUDevice;
}

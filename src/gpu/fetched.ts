// What a buffer holds, read once, where no buffer for reading is kept ready.
import type { Gpu } from "./device.ts";

/** The first `bytes` of a buffer, once what was submitted before is done. */
export async function fetched(gpu: Gpu, buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
  const { COPY_DST, MAP_READ } = GPUBufferUsage;
  const staging = gpu.buffer(`${buffer.label} read`, bytes, "scratch", COPY_DST | MAP_READ);
  try {
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
    gpu.submit(encoder);
    await gpu.map(staging, bytes);
    return staging.getMappedRange(0, bytes).slice(0);
  } finally {
    gpu.release(staging);
  }
}

// Small results on their way from the GPU to JavaScript: a ring of staging buffers, so that a step can be launched
// while the one before it is still being read.
import type { Gpu } from "./device.ts";

export class Readback {
  readonly #gpu: Gpu;
  readonly #free: GPUBuffer[];

  /** `depth` results of up to `bytes` bytes can be under way at once. */
  constructor(gpu: Gpu, bytes: number, depth: number) {
    this.#gpu = gpu;
    const { COPY_DST, MAP_READ } = GPUBufferUsage;
    this.#free = Array.from({ length: depth }, (_, i) =>
      gpu.buffer(`readback ${i}`, bytes, "scratch", COPY_DST | MAP_READ),
    );
  }

  /** Encodes the copy. Call the returned function after the submit; it resolves with the bytes. */
  copy(encoder: GPUCommandEncoder, source: GPUBuffer, bytes: number): () => Promise<ArrayBuffer> {
    const staging = this.#free.pop();
    if (!staging) throw new Error("readback: more results under way than staging buffers");
    encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
    return async () => {
      try {
        await staging.mapAsync(GPUMapMode.READ, 0, bytes);
      } catch (cause) {
        this.#gpu.check();
        throw cause;
      }
      const result = staging.getMappedRange(0, bytes).slice(0);
      staging.unmap();
      this.#free.push(staging);
      this.#gpu.counts.readbacks++;
      this.#gpu.counts.readbackBytes += bytes;
      return result;
    };
  }
}

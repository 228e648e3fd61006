// Small results on their way from the GPU to JavaScript: a ring of staging buffers, so that a step can be launched
// while the one before it is still being read.
import type { Gpu } from "./device.ts";

/** Bytes of a buffer, multiples of 4. */
export interface Part {
  source: GPUBuffer;
  offset: number;
  bytes: number;
}

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

  /**
   * Submits what is encoded and then the copies of `parts`; the returned function resolves with them, one after another.
   * The staging buffer is always returned: it is mapped at once, whether or not the result is read.
   */
  submit(encoder: GPUCommandEncoder, parts: readonly Part[]): () => Promise<ArrayBuffer> {
    const staging = this.#free.pop();
    if (!staging) throw new Error("readback: more results under way than staging buffers");
    let bytes = 0;
    try {
      for (const part of parts) {
        encoder.copyBufferToBuffer(part.source, part.offset, staging, bytes, part.bytes);
        bytes += part.bytes;
      }
      this.#gpu.submit(encoder);
    } catch (error) {
      this.#free.push(staging);
      throw error;
    }
    const result = this.#map(staging, bytes);
    result.catch(() => {}); // readers get the error; an unread result must not be an unhandled rejection
    return () => result;
  }

  async #map(staging: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    try {
      await this.#gpu.map(staging, bytes);
      this.#gpu.counts.readbacks++;
      this.#gpu.counts.readbackBytes += bytes;
      return staging.getMappedRange(0, bytes).slice(0);
    } finally {
      staging.unmap(); // does nothing where the mapping failed
      this.#free.push(staging);
    }
  }
}

// How long passes take, by the GPU's own clock.
import type { Gpu } from "./device.ts";

/** Most timestamps a query set may hold. */
const MAX_QUERIES = 4096;

/** Microseconds of each pass. Needs timestamp-query. */
export async function timed(gpu: Gpu, passes: readonly ((pass: GPUComputePassEncoder) => void)[]): Promise<number[]> {
  const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const times: number[] = [];
  for (let first = 0; first < passes.length; first += MAX_QUERIES / 2) {
    const some = passes.slice(first, first + MAX_QUERIES / 2);
    const querySet = gpu.device.createQuerySet({ type: "timestamp", count: 2 * some.length });
    const resolved = gpu.buffer("timestamps", 16 * some.length, "scratch", QUERY_RESOLVE | COPY_SRC);
    const staging = gpu.buffer("timestamps read", 16 * some.length, "scratch", COPY_DST | MAP_READ);
    const encoder = gpu.device.createCommandEncoder();
    for (const [index, encode] of some.entries()) {
      const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 };
      const pass = encoder.beginComputePass({ timestampWrites });
      encode(pass);
      pass.end();
    }
    encoder.resolveQuerySet(querySet, 0, 2 * some.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16 * some.length);
    gpu.submit(encoder);
    await gpu.map(staging);
    const stamps = new BigInt64Array(staging.getMappedRange());
    for (let i = 0; i < some.length; i++) times.push(Number(stamps[2 * i + 1]! - stamps[2 * i]!) / 1000);
    for (const buffer of [resolved, staging]) gpu.release(buffer);
    querySet.destroy();
  }
  return times;
}

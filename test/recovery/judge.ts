// What a model says after each token of a text, and how far two models are apart: for the programs beside this file.
import { blocksFor } from "../../src/kv/blocks.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import type { RunningModel } from "../../src/load/running.ts";
import { GREEDY } from "../../src/model/model.ts";

/** The logits after each token, 64 rows of the chunk at a time. */
export async function eachRow(
  gpu: Gpu,
  { transformer }: RunningModel,
  tokens: readonly number[],
  use: (row: number, logits: Float32Array) => void,
): Promise<void> {
  const { activations, config } = transformer.context;
  const { logits } = activations;
  const { vocabulary: V } = config;
  const { COPY_DST, MAP_READ } = GPUBufferUsage;
  const staging = gpu.device.createBuffer({ size: logits.size, usage: COPY_DST | MAP_READ });
  for (let start = 0; start < tokens.length; start += 64) {
    const rows = tokens.slice(start, start + 64);
    const page = (_: unknown, index: number) => ({ index, block: index });
    const { read } = await transformer.submit({
      rows: rows.map((token, i) => ({ token, position: start + i, cacheIndex: start + i, sequence: 0 })),
      decodeRows: 0,
      logitRows: rows.map((_, row) => ({ row, sequence: 0, sampling: GREEDY, counter: 0, forced: 0 })),
      lists: [
        {
          sequence: 0,
          enters: start === 0,
          pages: start ? [] : Array.from({ length: blocksFor(tokens.length) }, page),
          kept: null,
        },
      ],
      moves: [],
      promptEnd: null,
      retiring: null,
      standing: [],
      arrivals: [],
    });
    await read();
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(logits, 0, staging, 0, logits.size);
    gpu.submit(encoder);
    await staging.mapAsync(GPUMapMode.READ);
    const all = new Float32Array(staging.getMappedRange());
    for (let i = 0; i < rows.length; i++) use(start + i, all.subarray(i * V, (i + 1) * V));
    staging.unmap();
  }
  staging.destroy();
}

export const argmax = (values: Float32Array): number => {
  let best = 0;
  for (let v = 1; v < values.length; v++) if (values[v]! > values[best]!) best = v;
  return best;
};

/** Logits → log-probabilities, in place. */
export function normalise(logits: Float32Array): Float32Array {
  const most = logits[argmax(logits)]!;
  let sum = 0;
  for (let v = 0; v < logits.length; v++) sum += Math.exp(logits[v]! - most);
  const shift = most + Math.log(sum);
  for (let v = 0; v < logits.length; v++) logits[v]! -= shift;
  return logits;
}

/** KL(teacher ‖ student) */
export function divergence(teacher: Float32Array, student: Float32Array): number {
  let kl = 0;
  for (let v = 0; v < teacher.length; v++) kl += Math.exp(teacher[v]!) * (teacher[v]! - student[v]!);
  return kl;
}

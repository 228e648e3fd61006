// What this adapter can do at most, measured: the yardsticks of the benchmark page and of docs/log.md.
import { Gpu } from "./device.ts";
import { peak_copy, peak_fma } from "./kernels.gen.ts";
import { type AnyDispatch, dispatch, Program } from "./program.ts";

/** What an adapter can do at most, as measured. */
export interface AdapterPeaks {
  /** Bytes read and written by a copy kernel, GB/s. */
  copyGBs: number;
  /** f32 multiply-adds in registers, GFLOP/s. */
  fmaGflops: number;
  /** One empty dispatch among many in a pass, µs. */
  dispatchMicros: number;
}

const RUNS = 4;
const LEAST_MS = 10;

/** Milliseconds of `work` per repetition: repeated until it takes 10 ms, best of 4. */
export async function timeDispatches<D extends object>(
  gpu: Gpu,
  work: readonly AnyDispatch<D>[],
  sizes: D,
): Promise<number> {
  const program = await Program.build<D>(gpu, "measure", work);
  program.prepare(sizes);
  const run = async (repeats: number): Promise<number> => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < repeats; i++) program.encode(pass);
    pass.end();
    const started = performance.now();
    gpu.submit(encoder);
    await gpu.done();
    return performance.now() - started;
  };
  try {
    let repeats = 1;
    while ((await run(repeats)) < LEAST_MS && repeats < 1 << 14) repeats *= 4;
    let best = Infinity;
    for (let i = 0; i < RUNS; i++) best = Math.min(best, (await run(repeats)) / repeats);
    return best;
  } finally {
    program.dispose();
  }
}

/** Copy bandwidth, multiply-add peak and dispatch cost. Takes a second or two. */
export async function measureAdapter(device?: GPUDevice): Promise<AdapterPeaks> {
  const gpu = await Gpu.open(device);
  try {
    const copy = copyDispatch(gpu);
    const fma = fmaDispatch(gpu);
    const copyMs = await timeDispatches(gpu, [copy.step], {});
    const fmaMs = await timeDispatches(gpu, [fma.step], {});
    const emptyMs = await timeDispatches(
      gpu,
      Array.from({ length: 100 }, () => fma.idle),
      {},
    );
    return { copyGBs: copy.bytes / copyMs / 1e6, fmaGflops: fma.flops / fmaMs / 1e6, dispatchMicros: emptyMs * 10 };
  } finally {
    gpu.dispose();
  }
}

/** 256 MiB on a GPU, beyond every cache; 32 MiB on a CPU adapter. */
function copyDispatch(gpu: Gpu) {
  const { copyBytes: size } = gpu.profile.peaks;
  const [x, y] = [gpu.buffer("copy from", size, "scratch"), gpu.buffer("copy to", size, "scratch")];
  const count = size / 16;
  const step = dispatch({
    kernel: peak_copy,
    constants: { WG: 64, STEPS: 8 },
    label: "copy",
    buffers: { x, y },
    params: () => ({ count }),
    grid: () => [count / 512, 1, 1] as const,
    bytes: () => 2 * size,
    flops: () => 0,
  });
  return { step, bytes: 2 * size };
}

function fmaDispatch(gpu: Gpu) {
  const { fmaThreads: threads } = gpu.profile.peaks;
  const [x, y] = [gpu.buffer("fma from", threads * 4, "scratch"), gpu.buffer("fma to", threads * 4, "scratch")];
  const make = (ROUNDS: number, groups: number) =>
    dispatch({
      kernel: peak_fma,
      constants: { WG: 64, ROUNDS },
      label: "fma",
      buffers: { x, y },
      params: () => ({ factor: 0.5 }),
      grid: () => [groups, 1, 1] as const,
      bytes: () => 8 * threads,
      flops: () => 128 * ROUNDS * threads,
    });
  return { step: make(256, threads / 64), idle: make(0, 1), flops: 128 * 256 * threads };
}

// A program is a flat list of dispatches, built once and encoded into one compute pass per step.
// Bind groups and parameter buffers are made when it is built; a step only rewrites parameters that changed.
import type { KernelTime } from "../api.ts";
import { assert, UnsupportedError } from "../errors.ts";
import type { Gpu } from "./device.ts";
import type { Dispatched } from "./paper.ts";
import {
  type Bindable,
  type Buffers,
  type Constants,
  type Kernel,
  type KernelSource,
  packParams,
  type Params,
} from "./kernel.ts";
import type { Cost } from "./pace.ts";

export type Grid = readonly [number, number, number];

const isEmpty = ([x, y, z]: Grid): boolean => x * y * z === 0;

/** One dispatch. Sizes that change from step to step come in through `D`. */
export interface Dispatch<K extends KernelSource, D> {
  kernel: K;
  constants: Constants<K>;
  /** What it computes, e.g. "layer 3 qkv": the row of the profile. */
  label: string;
  buffers: Buffers<K>;
  params: (sizes: D) => Params<K>;
  /** Workgroups; [0, …] skips the dispatch. */
  grid: (sizes: D) => Grid;
  /** Bytes moved and floating-point operations, as in the shader's `cost` line. */
  bytes: (sizes: D) => number;
  flops: (sizes: D) => number;
  /** What the CPU does before it. */
  awaits?: Pause<D>;
  /** Whose kernel it runs, where others stand in if the adapter refuses it. */
  variant?: { family: string; name: string };
}

/** What the CPU does in the middle of a program, once the GPU has been given all that comes before. */
export interface Pause<D> {
  /** In which steps. */
  when: (sizes: D) => boolean;
  work: (sizes: D) => Promise<void>;
}

/** A dispatch with everything that is made once. */
interface BoundDispatch<D> {
  label: string;
  source: KernelSource;
  constants: Readonly<Record<string, number>>;
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
  /** Of its parameters in the buffer, in bytes. */
  offset: number;
  params: (sizes: D) => Readonly<Record<string, number>>;
  grid: (sizes: D) => Grid;
  bytes: (sizes: D) => number;
  flops: (sizes: D) => number;
  awaits: Pause<D> | undefined;
}

/** Parameters of a dispatch lie at a dynamic offset; 256 is the largest minUniformBufferOffsetAlignment WebGPU allows. */
const PARAMS_BYTES = 256;

/** The kernels of all dispatches; what is not yet compiled is compiled at once. */
export const compileAll = (gpu: Gpu, dispatches: readonly AnyDispatch<never>[]): Promise<Kernel[]> =>
  Promise.all(
    dispatches.map(({ kernel, constants, buffers, variant }) =>
      gpu.kernel(kernel, constants, buffers).catch((error: unknown) => {
        throw variant && error instanceof UnsupportedError ? new RefusedVariant(error, variant) : error;
      }),
    ),
  );

/** The adapter does not compile a variant. */
export class RefusedVariant extends UnsupportedError {
  readonly variant: { family: string; name: string };

  constructor(refusal: UnsupportedError, variant: RefusedVariant["variant"]) {
    super(refusal.message, { code: "adapter-refused", cause: refusal });
    this.variant = variant;
  }
}

export class Program<D extends object> {
  readonly #gpu: Gpu;
  readonly #dispatches: BoundDispatch<D>[] = [];
  readonly #params: GPUBuffer;
  readonly #view: DataView<ArrayBuffer>;
  #grids: Grid[] = [];
  #costs: readonly (Cost | null)[] = [];
  #sizes: D | null = null;
  /** The sizes as text: equal steps have equal texts. */
  #key = "";

  private constructor(gpu: Gpu, buffer: GPUBuffer) {
    this.#gpu = gpu;
    this.#params = buffer;
    this.#view = new DataView(new ArrayBuffer(buffer.size));
  }

  /** Compiles what is not yet compiled, all at once, and makes every bind group. */
  static async build<D extends object>(
    gpu: Gpu,
    label: string,
    dispatches: readonly AnyDispatch<D>[],
  ): Promise<Program<D>> {
    const kernels = await compileAll(gpu, dispatches);
    const { UNIFORM, COPY_DST } = GPUBufferUsage;
    const size = Math.max(1, dispatches.length) * PARAMS_BYTES;
    const program = new Program<D>(gpu, gpu.buffer(`${label} params`, size, "scratch", UNIFORM | COPY_DST));
    for (const [i, each] of dispatches.entries()) program.#add(kernels[i]!, each);
    return program;
  }

  /** Builds, runs and forgets: for work that is done a single time. */
  static async once(gpu: Gpu, label: string, dispatches: readonly AnyDispatch<object>[]): Promise<void> {
    const program = await Program.build<object>(gpu, label, dispatches);
    program.prepare({});
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    program.encode(pass);
    pass.end();
    gpu.submit(encoder);
    program.dispose();
  }

  #add(kernel: Kernel, { label, constants, buffers, params, grid, bytes, flops, awaits }: AnyDispatch<D>): void {
    const { source, pipeline } = kernel;
    const group = kernel.bind(buffers, this.#params);
    this.#gpu.counts.objectsCreated++;
    const offset = this.#dispatches.length * PARAMS_BYTES;
    this.#dispatches.push({ label, source, constants, pipeline, group, offset, params, grid, bytes, flops, awaits });
  }

  /** Parameters and grids for the coming step: one write, and none if nothing changed. */
  prepare(sizes: D): void {
    const key = JSON.stringify(sizes);
    if (key === this.#key) return;
    this.#key = key;
    this.#sizes = sizes;
    this.#grids = this.#dispatches.map((each) => each.grid(sizes));
    this.#costs = this.costsOf(sizes);
    for (const each of this.#dispatches) packParams(each.source, each.params(sizes), this.#view, each.offset);
    this.#gpu.write(this.#params, 0, new Uint8Array(this.#view.buffer));
  }

  /** Of each dispatch of the prepared step; null: it is left out. */
  get costs(): readonly (Cost | null)[] {
    return this.#costs;
  }

  /** The same of another step. */
  costsOf(sizes: D): (Cost | null)[] {
    return this.#dispatches.map(({ source, grid, bytes, flops }) =>
      isEmpty(grid(sizes)) ? null : { kernel: source.name, bytes: bytes(sizes), flops: flops(sizes) },
    );
  }

  /** Encodes dispatches of the prepared step: all, or some that follow each other. */
  encode(pass: GPUComputePassEncoder, first = 0, end = this.#dispatches.length): void {
    for (let i = first; i < end; i++) this.#dispatch(pass, this.#dispatches[i]!, this.#grids[i]!);
  }

  /** Whether the CPU has a part in this step. */
  pauses(sizes: D): boolean {
    return this.#starts(sizes).length > 0;
  }

  /** Dispatches before which the CPU has a part. */
  #starts(sizes: D): number[] {
    return [...this.#dispatches.keys()].filter((i) => this.#dispatches[i]!.awaits?.when(sizes));
  }

  /** As `encode`, in a pass and a submit for each stretch before which the CPU has a part. */
  async run(sizes: D): Promise<void> {
    const starts = this.#starts(sizes);
    for (const [i, first] of [0, ...starts].entries()) {
      if (i > 0) await this.#dispatches[first]!.awaits!.work(sizes);
      if (i > 0) this.prepare(sizes); // what the CPU did may say what follows
      const encoder = this.#gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      this.encode(pass, first, starts[i]);
      pass.end();
      this.#gpu.submit(encoder);
    }
  }

  #dispatch(pass: GPUComputePassEncoder, each: BoundDispatch<D>, grid: Grid): void {
    if (isEmpty(grid)) return;
    assert(Math.max(...grid) <= 65535, `${each.label}: grid ${grid} exceeds 65535`);
    pass.setPipeline(each.pipeline);
    pass.setBindGroup(0, each.group, each.source.params ? [each.offset] : []);
    pass.dispatchWorkgroups(...grid);
    this.#gpu.counts.dispatches++;
    this.#gpu.onDispatch?.(this.#dispatched(each, grid));
  }

  #dispatched({ source: kernel, constants, label, bytes, flops }: BoundDispatch<D>, grid: Grid): Dispatched {
    const sizes = this.#sizes!;
    return { kernel, constants, label, grid, bytes: bytes(sizes), flops: flops(sizes) };
  }

  /**
   * Runs the prepared step with one timed pass per dispatch. Each dispatch stands in its own pass, so the sum is
   * larger than the step. Needs timestamp-query.
   */
  async profile(sizes: D): Promise<KernelTime[]> {
    this.prepare(sizes);
    const live = this.#dispatches
      .map((each, index) => ({ each, grid: this.#grids[index]! }))
      .filter(({ grid }) => !isEmpty(grid));
    const { timed } = await import("./timed.ts");
    const times = await timed(
      this.#gpu,
      live.map(
        ({ each, grid }) =>
          (pass) =>
            this.#dispatch(pass, each, grid),
      ),
    );
    return live.map(({ each }, index) => ({
      kernel: each.source.name,
      label: each.label,
      microseconds: times[index]!,
      bytes: each.bytes(sizes),
      flops: each.flops(sizes),
    }));
  }

  dispose(): void {
    this.#gpu.release(this.#params);
  }
}

/** A dispatch of some kernel: the list of a program mixes kernels. */
export type AnyDispatch<D> = Omit<Dispatch<KernelSource, D>, "buffers" | "params" | "constants"> & {
  constants: Readonly<Record<string, number>>;
  buffers: Readonly<Record<string, Bindable>>;
  params: (sizes: D) => Readonly<Record<string, number>>;
};

/** Checks a dispatch against its kernel's own types, then forgets which kernel it was. */
export function dispatch<K extends KernelSource, D>(typed: Dispatch<K, D>): AnyDispatch<D> {
  return typed as unknown as AnyDispatch<D>;
}

/** The same dispatches, in steps whose sizes say so; none in others. */
export const onlyIf = <D, S extends D>(
  wanted: (sizes: S) => boolean,
  dispatches: readonly AnyDispatch<D>[],
): AnyDispatch<S>[] =>
  dispatches.map((each) => ({ ...each, grid: (sizes: S) => (wanted(sizes) ? each.grid(sizes) : [0, 0, 0]) }));

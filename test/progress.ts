// Tells the test runner that a page gets on: pipelines compiled, buffers read. Whatever the GPU does ends in one of the two,
// except for the chunks of a calibration, which the harness reports.

declare global {
  /** Given by the test runner (test/page.ts). */
  var heard: ((what: string) => Promise<void>) | undefined;
}

/** Between two reports: reading a buffer is far more frequent than the runner needs to know. */
const PAUSE_MS = 500;

let reportedAt = -Infinity;
let compiled = 0;

/** Pipelines compiled since `reportProgress`. */
export const pipelinesCompiled = (): number => compiled;

export function report(what: string): void {
  if (performance.now() - reportedAt < PAUSE_MS) return;
  reportedAt = performance.now();
  void globalThis.heard?.(what);
}

/** From now on every pipeline that a page compiles and every buffer that it reads is reported. */
export function reportProgress(): void {
  const { createComputePipelineAsync } = GPUDevice.prototype;
  GPUDevice.prototype.createComputePipelineAsync = async function (descriptor) {
    const pipeline = await createComputePipelineAsync.call(this, descriptor);
    compiled++;
    report(`compiled ${descriptor.label}`);
    return pipeline;
  };
  const { mapAsync } = GPUBuffer.prototype;
  GPUBuffer.prototype.mapAsync = async function (...range) {
    await mapAsync.apply(this, range);
    report(`read ${this.label || "a buffer"}`);
  };
}

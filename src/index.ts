// The public surface: what an embedder may rely on.
export type * from "./api.ts";
export { KV_FORMATS } from "./api.ts";
export { SAMPLING_FIELDS } from "./completions.ts";
export type { ErrorCode, GgufChoice, InputCode, ModelCode, UnsupportedCode } from "./errors.ts";
export { DeviceLostError, EngineError, InputError, ModelError, UnsupportedError, WorkerLostError } from "./errors.ts";
export { convert, distil, exportStudent, plan, saveCheckpoint, saveStudent, shareLayers } from "./load.ts";
export type { SampleOptions } from "./chat/sample.ts";
export { describeAdapter } from "./gpu/device.ts";
export type { AdapterPeaks } from "./gpu/measure.ts";
export { modelFlops } from "./model/cost.ts";
export { kept, measureAdapter, sampleChats } from "./optional.ts";
export { load } from "./start.ts";
/** Of the package. */
export const VERSION = "0.1.0";

// What a load and an engine tell beside what they are asked for: public types, plain data that can be posted to another thread.
import type { ErrorCode } from "./errors.ts";

/** How far a load has come. */
export interface LoadProgress {
  /** "device": the device was lost, and loading begins again on another one. */
  phase: "open" | "wait" | "download" | "tokenizer" | "compile" | "tune" | "device" | "ready";
  /** Bytes so far and in all; 0 where not yet known. */
  loadedBytes: number;
  /** Bytes in all; 0 where not yet known. */
  totalBytes: number;
  /** How far this phase has come, from 0 to 1; null where that cannot be told. In "wait" another page downloads the model; "compile" goes on during "download". */
  share: number | null;
  /** The file or tensor being worked on. */
  item: string;
}

/** What happens to an engine without being asked for. */
export type EngineEvent =
  /** The GPU went away, for the `losses`th time. Nothing ends: requests wait until there is another device. */
  | { type: "device-lost"; losses: number; message: string }
  /** The model is on another device, and requests go on. */
  | { type: "device-renewed"; milliseconds: number }
  /** There is no other device for the model: all requests have ended with this error. */
  | { type: "device-failed"; code: ErrorCode | null; message: string };

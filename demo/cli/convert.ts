// The page behind `npm run convert`: loads a model, calibrates a student, hands its file over in pieces.

import { convert, load, saveCheckpoint, saveStudent } from "../../src/index.ts";
import type { CalibrateOptions, CalibrationProgress, Engine, LoadOptions, SwiftKv } from "../../src/index.ts";
import { count, seconds as time } from "../shared/numbers.ts";
import { tokensOf } from "../shared/shares.ts";
import type { Asked } from "../shared/shares.ts";
import { failure, type Failure, showLoading } from "../shared/loading.ts";

interface Request {
  source: string;
  shape: SwiftKv;
  load: LoadOptions;
  data: Asked;
  calibrate: Pick<CalibrateOptions, "window" | "ridge">;
  /** A whole checkpoint instead of the student alone. */
  full: boolean;
}

declare global {
  interface Window {
    runConvert(request: Request): Promise<{ result: object } | { error: Failure }>;
    /** Given by the command: the next piece of a file; what has been emitted is this file, whole. */
    emitBytes(base64: string): Promise<void>;
    emitFile(name: string): Promise<void>;
  }
}

/** A multiple of 3, so that pieces in base64 have no padding between them. */
const PIECE_BYTES = 3 * 2 ** 18;

window.runConvert = async ({ source, shape, load: options, data, calibrate: others, full }) => {
  try {
    const engine = await load(source, { ...options, sequences: 1, onProgress: showLoading() });
    const calibrate = await tokensOf(engine, data, (line) => void window.emitProgress(line));
    const began = performance.now();
    const how = { calibrate, ...others, constant: !full || hasBiases(engine), onProgress: showFitting };
    const student = await convert(engine, shape, how);
    const seconds = (performance.now() - began) / 1000;
    const bytes = await (full ? handOverAll(student, source) : handOverStudent(student));
    const { name, hash, layers, swiftkv, calibration } = student.model;
    const { adapter } = student.stats();
    const result = { name, hash, layers, swiftkv, calibration, bytes, seconds, adapter: adapter.name };
    for (const each of [student, engine]) each.dispose();
    return { result };
  } catch (error) {
    return { error: failure(error) };
  }
};

/** Whether the public layout has a place for constants: Qwen2's has. */
const hasBiases = ({ model }: Engine): boolean => model.architecture.startsWith("Qwen2");

async function handOverStudent(student: Engine): Promise<number> {
  const file = await saveStudent(student);
  await handOver(file);
  await window.emitFile("student.safetensors");
  return file.length;
}

async function handOverAll(student: Engine, source: string): Promise<number> {
  let [total, open] = [0, ""];
  for await (const { file, bytes } of saveCheckpoint(student, source)) {
    if (open !== "" && file !== open) await window.emitFile(open);
    open = file;
    await handOver(bytes);
    total += bytes.length;
  }
  await window.emitFile(open);
  return total;
}

/** A file to the command, piece by piece. */
export async function handOver(file: Uint8Array): Promise<void> {
  for (let at = 0; at < file.length; at += PIECE_BYTES)
    await window.emitBytes(base64(file.subarray(at, at + PIECE_BYTES)));
}

let shown = 0;

function showFitting({ phase, tokens, totalTokens, secondsLeft }: CalibrationProgress): void {
  if (performance.now() - shown < 100) return;
  shown = performance.now();
  const left = secondsLeft === null ? "" : `, ${time(1000 * secondsLeft)} left`;
  const what = phase === "read" ? `reading ${count(tokens)} of ${count(totalTokens)} tokens` : "solving";
  void window.emitProgress(what + left);
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

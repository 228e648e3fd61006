// The page behind `npm run convert`: loads a model, calibrates a student, hands its file over in pieces.

import { convert, load, saveStudent } from "../../src/index.ts";
import type { CalibrateOptions, CalibrationProgress, LoadOptions, SwiftKv } from "../../src/index.ts";
import { count, seconds as time } from "../shared/numbers.ts";
import { shares } from "../shared/shares.ts";
import { failure, type Failure, showLoading } from "./cli.ts";

interface Request {
  source: string;
  shape: SwiftKv;
  load: LoadOptions;
  texts: string[];
  /** tokens: of all texts together, at most. */
  calibrate: Pick<CalibrateOptions, "window" | "ridge"> & { tokens?: number };
}

declare global {
  interface Window {
    runConvert(request: Request): Promise<{ result: object } | { error: Failure }>;
    /** Given by the command: the next piece of the file. */
    emitBytes(base64: string): Promise<void>;
  }
}

/** A multiple of 3, so that pieces in base64 have no padding between them. */
const PIECE_BYTES = 3 * 2 ** 18;

window.runConvert = async ({ source, shape, load: options, texts, calibrate: { tokens, ...others } }) => {
  try {
    const engine = await load(source, { ...options, sequences: 1, onProgress: showLoading() });
    const calibrate = tokens === undefined ? texts : shares(engine, texts, tokens);
    const began = performance.now();
    const student = await convert(engine, shape, { calibrate, ...others, onProgress: showFitting });
    const seconds = (performance.now() - began) / 1000;
    const file = saveStudent(student);
    await handOver(file);
    const { name, hash, layers, swiftkv, calibration } = student.model;
    const { adapter } = student.stats();
    const result = { name, hash, layers, swiftkv, calibration, bytes: file.length, seconds, adapter: adapter.name };
    for (const each of [student, engine]) each.dispose();
    return { result };
  } catch (error) {
    return { error: failure(error) };
  }
};

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

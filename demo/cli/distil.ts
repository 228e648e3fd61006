// The page behind `npm run distil`: loads a model, trains a student, hands checkpoints and the student's file over in pieces.

import { distil, load, saveStudent } from "../../src/index.ts";
import type { DistilOptions, DistilProgress, LoadOptions, SwiftKv } from "../../src/index.ts";
import { count, figure, seconds as time } from "../shared/numbers.ts";
import { tokensOf } from "../shared/shares.ts";
import type { Asked } from "../shared/shares.ts";
import { failure, type Failure, showLoading } from "../shared/loading.ts";
import { handOver } from "./convert.ts";

interface Request {
  source: string;
  /** A student to begin with, or a checkpoint to go on from. */
  student?: string;
  resume?: string;
  shape: SwiftKv;
  load: LoadOptions;
  data: Asked;
  distil: DistilOptions;
}

declare global {
  interface Window {
    runDistil(request: Request): Promise<{ result: object } | { error: Failure }>;
  }
}

window.runDistil = async ({ source, student, resume, shape, load: options, data, distil: others }) => {
  try {
    const start = student === undefined ? {} : { student };
    const engine = await load(source, { ...options, ...start, sequences: 1, onProgress: showLoading() });
    const tokens = await tokensOf(engine, data, (line) => void window.emitProgress(line));
    const began = performance.now();
    const losses: number[] = [];
    const trained = await distil(engine, shape, {
      tokens,
      ...others,
      ...(resume === undefined ? {} : { resume: await bytesAt(resume) }),
      onProgress: (progress) => {
        if (progress.phase === "train") losses.push(progress.loss!);
        showTraining(progress);
      },
      onCheckpoint: async (bytes) => {
        await handOver(bytes);
        await window.emitFile("checkpoint.safetensors");
      },
    });
    const seconds = (performance.now() - began) / 1000;
    const file = await saveStudent(trained);
    await handOver(file);
    await window.emitFile("student.safetensors");
    const { name, hash, layers, swiftkv, calibration, distillation } = trained.model;
    const adapter = trained.stats().adapter.name;
    for (const each of [trained, engine]) each.dispose();
    const made = { name, hash, layers, swiftkv, calibration, distillation };
    return { result: { ...made, losses, bytes: file.length, seconds, adapter } };
  } catch (error) {
    return { error: failure(error) };
  }
};

async function bytesAt(address: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(address);
  return new Uint8Array(await response.arrayBuffer());
}

function showTraining({ phase, done, total, loss, secondsLeft }: DistilProgress): void {
  const left = secondsLeft === null ? "" : `, ${time(1000 * secondsLeft)} left`;
  const what =
    phase === "calibrate"
      ? `calibrating, ${count(done)} of ${count(total)} tokens`
      : `step ${count(done)} of ${count(total)}, loss ${figure(loss!)}`;
  void window.emitProgress(what + left);
}

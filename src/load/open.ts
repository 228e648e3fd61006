// A source with the options of a load: its files opened, and what kind of model it is, before any weights are fetched.
import type { LoadOptions, ModelSource, SwiftKv } from "../api.ts";
import { type Checkpoint, openCheckpoint } from "../io/checkpoint.ts";
import type { ModelConfig } from "../model/config.ts";
import { readConfig } from "./read.ts";
import { type Report, students } from "./running.ts";
import type { StoredStudent } from "./student.ts";

export function openReporting(
  source: ModelSource,
  { signal, keep, sha256, token }: LoadOptions,
  mostBytes: number,
  report: Report,
): Promise<Checkpoint> {
  const share = (loaded: number, total: number) => (total > 0 ? loaded / total : null);
  return openCheckpoint(source, {
    signal,
    mostBytes,
    keep,
    sha256,
    token,
    onBytes: (loadedBytes, totalBytes, item) => {
      const phase = totalBytes > 0 ? "download" : "open";
      report({ phase, loadedBytes, totalBytes, share: share(loadedBytes, totalBytes), item });
    },
    onWait: (loadedBytes, totalBytes, item) =>
      report({ phase: "wait", loadedBytes, totalBytes, share: share(loadedBytes, totalBytes), item }),
  });
}

export interface Shape {
  config: ModelConfig;
  /** What the model is converted to once it is loaded. */
  student: SwiftKv | null;
  /** What it is converted by: null converts the weights as they are. */
  stored: StoredStudent | null;
}

/** The configuration, and the student that is asked for: known before the weights are fetched. */
export async function readShape(
  checkpoint: Checkpoint,
  { student, swiftkv, signal, keep, token, sha256 }: LoadOptions,
): Promise<Shape> {
  if (student === undefined) return { ...(await readConfig(checkpoint, swiftkv)), stored: null };
  const { config } = await readConfig(checkpoint, false);
  const { readStudent } = await students.load();
  const stored = await readStudent(student, config, swiftkv, { signal, keep, token, sha256 });
  return { config, student: stored.card.swiftkv, stored };
}

// Models whose files are kept in this browser: listed, measured, and deleted where the user says so.

import type { KeptModel, KeptStorage } from "../api.ts";
import { type KeptCache, readCaches } from "./files/pieces.ts";
import { type Platform, platform } from "./files/shelf.ts";

/** What a model cannot run without. */
const WEIGHTS = /\.(safetensors|gguf)$/i;

/** The newest first. Empty where the browser keeps nothing. */
async function list({ caches }: Pick<Platform, "caches"> = platform()): Promise<KeptModel[]> {
  const found = caches ? await readCaches(caches) : [];
  const files = found.filter(({ record }) => record?.version);
  const names = [...new Set(files.map(({ model }) => model))];
  const models = names.map((name) =>
    describe(
      name,
      files.filter(({ model }) => model === name),
    ),
  );
  return models.toSorted((a, b) => b.since - a.since);
}

function describe(name: string, caches: readonly KeptCache[]): KeptModel {
  const files = caches.map(({ record, bytes }) => ({
    name: record!.file,
    bytes,
    totalBytes: record!.version!.size,
    since: record!.since,
    source: record!.source,
  }));
  const newest = files.toSorted((a, b) => b.since - a.since)[0]!;
  const sum = (of: "bytes" | "totalBytes") => files.reduce((total, file) => total + file[of], 0);
  return {
    name,
    source: newest.source,
    since: newest.since,
    bytes: sum("bytes"),
    totalBytes: sum("totalBytes"),
    isComplete:
      files.some((file) => WEIGHTS.test(file.name)) && files.every(({ bytes, totalBytes }) => bytes === totalBytes),
    files: files.map(({ name: file, bytes, totalBytes }) => ({ name: file, bytes, totalBytes })),
  };
}

/** Deletes what is kept of a model, by its name in the list; without a name everything. Returns the bytes that were kept. */
async function remove(name?: string, { caches }: Pick<Platform, "caches"> = platform()): Promise<number> {
  const found = caches ? await readCaches(caches) : [];
  const chosen = found.filter(({ model }) => name === undefined || model === name);
  for (const each of chosen) await caches!.delete(each.name);
  return chosen.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** How much the browser lets this origin keep, and whether it may clear it by itself when the disk fills up. */
async function space({ storage }: Pick<Platform, "storage"> = platform()): Promise<KeptStorage> {
  const { usage = 0, quota = null } = (await storage?.estimate()) ?? {};
  return { usedBytes: usage, quotaBytes: quota, isPersistent: (await navigator.storage?.persisted?.()) ?? false };
}

/** Asks the browser to delete what is kept only where the user says so; some browsers ask the user. */
const persist = async (): Promise<boolean> => (await navigator.storage?.persist?.()) ?? false;

export const kept = { list, delete: remove, space, persist };

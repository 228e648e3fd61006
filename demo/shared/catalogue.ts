// The models the picker offers.

import type { Choice } from "./hub.ts";
import { bytes } from "./numbers.ts";

/** Relative to the page, so that the static site works below any path. */
export const asset = (path: string): string => new URL(path, document.baseURI).pathname;

export const embedded: Choice = {
  name: "Fable",
  note: "Comes with the page. Tells short stories and finds notes in a long text; knows nothing else.",
  size: "8 MB, f16",
  source: asset("models/fable/"),
};

interface Listed {
  name: string;
  path: string;
  bytes: number;
}

/** What lies in the repository's models/ folder. Empty on a static site, which has no listing. */
export async function localChoices(): Promise<Choice[]> {
  try {
    const response = await fetch(asset("models.json"));
    if (!response.ok) return [];
    const listed = (await response.json()) as Listed[];
    return listed.map((model) => ({
      name: model.name,
      note: `models/${model.path}`,
      size: bytes(model.bytes),
      source: asset(`models/${model.path.split("/").map(encodeURIComponent).join("/")}`),
    }));
  } catch {
    return [];
  }
}

/** Files dropped on the page: single files, or a directory read to its first level. */
export async function droppedFiles(transfer: DataTransfer): Promise<File[]> {
  const dropped = [...transfer.items].map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  // Files handed over by another page have no entry.
  const files = await Promise.all(dropped.map(({ entry, file }) => (entry ? filesOf(entry) : file ? [file] : [])));
  return files.flat();
}

// Chrome names these classes differently, so `instanceof` does not work.
const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile;
const isDirectory = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (isFile(entry)) return [await new Promise<File>((resolve, reject) => entry.file(resolve, reject))];
  if (!isDirectory(entry)) return [];
  const reader = entry.createReader();
  const children: FileSystemEntry[] = [];
  // readEntries hands out at most 100 at a time.
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) break;
    children.push(...batch);
  }
  const files = await Promise.all(children.filter(isFile).map(filesOf));
  return files.flat();
}

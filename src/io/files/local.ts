// Files on the user's disk: picked, dropped, or a directory handle. Fetched with the first of them.

import { InputError, ModelError } from "../../errors.ts";
import { BlobFile } from "./blob.ts";
import type { ByteFile, Folder } from "./bytes.ts";

const pathOf = (file: File): string => file.webkitRelativePath || file.name;

const depth = (path: string): number => path.split("/").length;

/** What the user picked: a single GGUF, or the folder whose config.json lies highest. */
export function openPicked(files: readonly File[]): ByteFile | Folder {
  const byPath = new Map(files.map((file) => [pathOf(file), file]));
  const config = [...byPath.keys()]
    .filter((path) => path === "config.json" || path.endsWith("/config.json"))
    .toSorted((a, b) => depth(a) - depth(b))[0];
  if (config === undefined) {
    const gguf = singleGguf(files);
    return new BlobFile(gguf, gguf.name, files);
  }
  const root = config.slice(0, -"config.json".length);
  return {
    name: root.split("/").at(-2) ?? "files",
    open: async (path) => {
      const file = byPath.get(root + path);
      return file ? new BlobFile(file, path) : null;
    },
  };
}

/** The only GGUF, or the first part of the only one. */
function singleGguf(files: readonly File[]): File {
  const all = files.filter((file) => file.name.toLowerCase().endsWith(".gguf"));
  const part = (file: File): string | undefined => /-(\d{5})-of-\d{5}\.gguf$/i.exec(file.name)?.[1];
  const candidates = all.filter((file) => all.length === 1 || (part(file) ?? "00001") === "00001");
  const [file] = candidates;
  if (candidates.length === 1 && file) return file;
  const got = files.slice(0, 5).map((file) => file.name);
  throw new InputError(
    `files: not one model; got ${files.length} files (${got.join(", ")}), want one .gguf, or a folder with config.json and model.safetensors.`,
    { code: "bad-source" },
  );
}

/** The same for a directory handle. */
export async function openHandle(handle: FileSystemDirectoryHandle): Promise<ByteFile | Folder> {
  const open = async (path: string) => {
    const file = await handleFile(handle, path);
    return file ? new BlobFile(file, path) : null;
  };
  if (await open("config.json")) return { name: handle.name || "files", open };
  const files: File[] = [];
  for await (const entry of handle.values()) {
    const file = entry.kind === "file" ? await handleFile(handle, entry.name) : null;
    if (file) files.push(file);
  }
  return openPicked(files);
}

async function handleFile(handle: FileSystemDirectoryHandle, path: string): Promise<File | null> {
  try {
    return await (await handle.getFileHandle(path)).getFile();
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "NotFoundError") return null;
    throw new ModelError(
      `${handle.name}/${path}: cannot be opened; got ${String(cause)}. Allow access, or pick it again.`,
      {
        cause,
      },
    );
  }
}

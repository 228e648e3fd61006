// A checkpoint of 26 MB, without two equal pieces, and where a test finds it.

import { expect } from "playwright/test";
import { createHash } from "node:crypto";
import type { Checkpoint } from "../../src/io/checkpoint.ts";
import { encode, safetensors, smallFolder } from "./formats.ts";
import { serve, type ServerOptions } from "./server.ts";

/** `files` by address. */
export const at = (prefix: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>) =>
  new Map([...files].map(([name, bytes]) => [prefix + name, bytes]));

/** Bytes without a pattern. */
export function noise(length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = 1;
  for (let i = 0; i < words.length; i++) words[i] = state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return new Uint8Array(words.buffer, 0, length);
}

/** Two f32 tensors of 3 MB and one of 20 MB, behind a header. */
export const largeTensors = { first: 3_000_000, second: 3_000_000, third: 20_000_000 };
const contents = noise(26_000_000);

export const weights = "model.safetensors";

/** All files of a checkpoint that has these tensors, in bytes. */
export function largeFolder(
  sizes: Readonly<Record<string, number>> = largeTensors,
): Map<string, Uint8Array<ArrayBuffer>> {
  const files = smallFolder();
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, bytes] of Object.entries(sizes)) {
    header[name] = { dtype: "F32", shape: [bytes / 4], data_offsets: [offset, (offset += bytes)] };
  }
  files.set(weights, safetensors(header, contents.subarray(0, offset)));
  return files;
}

export async function expectAllTensors(
  checkpoint: Pick<Checkpoint, "read">,
  sizes: Readonly<Record<string, number>> = largeTensors,
): Promise<void> {
  let offset = 0;
  for (const [name, bytes] of Object.entries(sizes)) {
    const got = await checkpoint.read(name);
    expect(Buffer.compare(got, contents.subarray(offset, (offset += bytes))), name).toBe(0);
  }
}

export const hubUrl = "https://hub.example";
export const commit = "0123456789abcdef0123456789abcdef01234567";
export const revisionUrl = `${hubUrl}/api/models/org/model/revision/main?blobs=true`;
export const root = (sha = commit) => `${hubUrl}/org/model/resolve/${sha}/`;

const sha256Of = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** What the hub says of a commit: names, sizes, and of weights the hash. */
export function listing(folder: ReadonlyMap<string, Uint8Array>, sha = commit): Uint8Array<ArrayBuffer> {
  const siblings = [...folder].map(([rfilename, bytes]) => ({
    rfilename,
    size: bytes.length,
    ...(/\.(safetensors|gguf)$/.test(rfilename) && { lfs: { sha256: sha256Of(bytes), size: bytes.length } }),
  }));
  return encode(JSON.stringify({ sha, siblings }));
}

/** A hub with one model, org/model. */
export function hub(folder = largeFolder(), options: ServerOptions = {}) {
  const files = at(root(), folder);
  files.set(revisionUrl, listing(folder));
  return serve(files, { chunkBytes: 65536, ...options });
}

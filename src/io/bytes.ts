// What a model file looks like to the readers, whatever it is made of: a size, and bytes in ranges.

import { ModelError } from "../errors.ts";

export interface ReadOptions {
  signal?: AbortSignal | undefined;
  /** Called with the number of bytes that arrived since the last call; the sum over one read is its length. */
  onBytes?: ((count: number) => void) | undefined;
  /** Hint: nothing behind this offset will be read soon, so do not ask a server for more. Default: read ahead. */
  until?: number | undefined;
}

export interface ByteFile {
  /** For messages: a path or URL. */
  readonly name: string;
  /** Bytes; Infinity where a server does not say. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`. One read at a time. Cheapest when offsets only grow: a server without ranges
   * is streamed, and going back means starting over. Throws ModelError if the file is shorter or unreachable, and the
   * signal's reason on abort.
   */
  read(offset: number, length: number, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
}

export interface Folder {
  /** For messages and as the model's name. */
  readonly name: string;
  /** Appended to messages about absent files: what else there is, what to try. May be empty. */
  readonly hint: string;
  /** `path` is a plain file name. Null if there is no such file. */
  open(path: string, signal?: AbortSignal): Promise<ByteFile | null>;
}

/** No JSON a checkpoint comes with is larger; the largest tokenizers are about 40 MB. */
const maxTextBytes = 256 * 2 ** 20;

/** Throws ModelError if [offset, offset + length) is not inside `file`. */
export function checkRange(file: { name: string; size: number }, offset: number, length: number): void {
  if (offset + length <= file.size) return;
  throw new ModelError(
    `${file.name}: file ends early; got ${file.size} bytes, want at least ${offset + length}. Download it again.`,
  );
}

/** `length` bytes of memory, or ModelError where the machine has not got that much. */
export function allocate(length: number, name: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new ModelError(`${name}: out of memory; got ${length} bytes to hold at once, want fewer.`, { cause });
  }
}

/** The whole file as UTF-8 text. Throws ModelError if it is not UTF-8 or absurdly long. */
export async function readText(file: ByteFile, options: ReadOptions): Promise<string> {
  const bytes = file.size === Infinity ? await readToEnd(file, options) : await readKnown(file, options);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ModelError(`${file.name}: damaged; got bytes that are not UTF-8, want text.`, { cause });
  }
}

async function readKnown(file: ByteFile, options: ReadOptions): Promise<Uint8Array> {
  if (file.size > maxTextBytes) {
    throw new ModelError(`${file.name}: too long; got ${file.size} bytes, want at most ${maxTextBytes}.`);
  }
  return file.read(0, file.size, options);
}

/** A server that compresses on the fly does not say how long a file is: read byte ranges until it ends. */
async function readToEnd(file: ByteFile, options: ReadOptions): Promise<Uint8Array> {
  let bytes = new Uint8Array(65536);
  let length = 0;
  while (file.size === Infinity && length < maxTextBytes) {
    try {
      bytes[length] = (await file.read(length, 1, options))[0]!;
    } catch (error) {
      if (file.size === Infinity) throw error;
      break; // the failed read learned the size
    }
    length++;
    if (length === bytes.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(bytes);
      bytes = larger;
    }
  }
  return bytes.subarray(0, length);
}

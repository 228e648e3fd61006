// What a model file looks like to the readers, whatever it is made of: a size, and bytes in ranges.

import { isObject, ModelError } from "../../errors.ts";
import type { GgufChoice } from "../../errors.ts";

export interface ReadOptions {
  signal?: AbortSignal | undefined;
  /** Called with the number of bytes that arrived since the last call; the sum over one read is its length. */
  onBytes?: ((count: number) => void) | undefined;
  /** Hint: nothing behind this offset will be read soon, so do not ask a server for more. Default: read ahead. */
  until?: number | undefined;
  /** Called every half second while another page downloads the file: bytes that it has kept so far, and in all. */
  onWait?: ((kept: number, total: number) => void) | undefined;
}

export interface ByteFile {
  /** For messages: a path or URL. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`. One read at a time. Cheapest when offsets only grow: a server without ranges
   * is streamed, and going back means starting over. Throws ModelError if the file is shorter or unreachable, and the
   * signal's reason on abort.
   */
  read(offset: number, length: number, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>>;
  /** Another file at the same place, by its plain name; null if there is none. Absent where nothing is known of others. */
  beside?(name: string, signal?: AbortSignal): Promise<ByteFile | null>;
  close(): void;
  /** Bytes that are to be downloaded and kept. Absent: none. */
  readonly missingBytes?: number;
  /**
   * Fetches what has not been read, where the file is kept, and compares the whole with its SHA-256, where that is known.
   * Throws Damaged, once what was kept is gone, if it is another file. Absent: there is nothing to do.
   */
  settle?(options?: ReadOptions): Promise<void>;
}

/** A file is not the one that its SHA-256 names. */
export class Damaged extends ModelError {}

export interface Folder {
  /** For messages and as the model's name. */
  readonly name: string;
  /** GGUF files that lie there, the best choice first: where there is no checkpoint, they can be loaded one by one. */
  ggufs?(signal?: AbortSignal): Promise<readonly GgufChoice[]>;
  /** Asking for a file that is not there costs a request and leaves a line in the browser's console. */
  readonly unlisted?: boolean;
  /** `path` is a plain file name. Null if there is no such file. */
  open(path: string, signal?: AbortSignal): Promise<ByteFile | null>;
  /** What is to be done once a model from here has been loaded. */
  settle?(): Promise<void>;
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
    throw new ModelError(`${name}: out of memory; got ${length} bytes to hold at once, want fewer.`, {
      code: "out-of-memory",
      cause,
    });
  }
}

/** The whole file as UTF-8 text. Throws ModelError if it is not UTF-8 or absurdly long. */
export async function readText(file: ByteFile, options: ReadOptions): Promise<string> {
  if (file.size > maxTextBytes) {
    throw new ModelError(`${file.name}: too long; got ${file.size} bytes, want at most ${maxTextBytes}.`);
  }
  return decodeText(await file.read(0, file.size, options), file.name);
}

/** UTF-8, or ModelError. `name` is for the message. */
export function decodeText(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ModelError(`${name}: damaged; got bytes that are not UTF-8, want text.`, { cause });
  }
}

/** Text that must be a JSON object. Throws ModelError naming `name`. */
export function parseObject(text: string, name: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ModelError(`${name}: not JSON; got ${quote(text)}, want a JSON object.`, { cause });
  }
  if (isObject(value)) return value;
  throw new ModelError(`${name}: wrong kind of JSON; got ${quote(value)}, want an object.`);
}

/** Any value, short enough for a message. */
export function quote(value: unknown): string {
  const text = typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

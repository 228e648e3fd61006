// A file on the user's disk, and what a server's answer is collected in.

import { ModelError } from "../../errors.ts";
import { allocate, checkRange } from "./bytes.ts";
import type { ByteFile, ReadOptions } from "./bytes.ts";

/** Bytes per progress report and abort check of a long read. */
const sliceBytes = 16 * 2 ** 20;

/** A Blob or File as a ByteFile. */
export class BlobFile implements ByteFile {
  readonly name: string;
  readonly size: number;
  readonly #blob: Blob;
  readonly #others: readonly File[];

  /** `others`: what was picked with it. */
  constructor(blob: Blob, name: string, others: readonly File[] = []) {
    this.#blob = blob;
    this.#others = others;
    this.name = name;
    this.size = blob.size;
  }

  async beside(name: string): Promise<ByteFile | null> {
    const file = this.#others.find((other) => other.name === name);
    return file ? new BlobFile(file, name) : null;
  }

  async read(offset: number, length: number, { signal, onBytes }: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this, offset, length);
    const bytes = allocate(length, this.name);
    for (let done = 0; done < length; done += sliceBytes) {
      signal?.throwIfAborted();
      const end = Math.min(length, done + sliceBytes);
      bytes.set(await this.#slice(offset + done, offset + end), done);
      onBytes?.(end - done);
    }
    signal?.throwIfAborted();
    return bytes;
  }

  close(): void {
    // A Blob holds nothing open.
  }

  /** A picked file that changed or vanished since rejects with NotReadableError. */
  async #slice(begin: number, end: number): Promise<Uint8Array> {
    try {
      return new Uint8Array(await this.#blob.slice(begin, end).arrayBuffer());
    } catch (cause) {
      throw new ModelError(`${this.name}: cannot be read; got ${String(cause)}. Pick the file again.`, { cause });
    }
  }
}

// A file whose SHA-256 is known. It is hashed as it is read, as far as it is read front to back.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type ByteFile, Damaged, type ReadOptions } from "./bytes.ts";

/** Hashed at once: some milliseconds. */
const sliceBytes = 2 ** 20;
/** Read at once, of what nobody has read in order. */
const readBytes = 4 * 2 ** 20;
/** Up to this distance, what lies between two reads is read too: padding of tensors. */
const gapBytes = 2 ** 16;

export interface CheckedHooks {
  /** The file is the right one. */
  onRight?: () => Promise<void>;
  /** It is not: removes what is kept of it. */
  onWrong?: () => Promise<void>;
}

export class CheckedFile implements ByteFile {
  readonly #file: ByteFile;
  readonly #want: string;
  readonly #hooks: CheckedHooks;
  #hash = sha256.create();
  /** Bytes hashed so far. */
  #hashed = 0;
  #isRight = false;

  /** `want`: in hexadecimal. */
  constructor(file: ByteFile, want: string, hooks: CheckedHooks = {}) {
    this.#file = file;
    this.#want = want;
    this.#hooks = hooks;
  }

  get name(): string {
    return this.#file.name;
  }

  get size(): number {
    return this.#file.size;
  }

  get missingBytes(): number {
    return this.#file.missingBytes ?? 0;
  }

  async beside(name: string, signal?: AbortSignal): Promise<ByteFile | null> {
    return (await this.#file.beside?.(name, signal)) ?? null;
  }

  async read(offset: number, length: number, options: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const gap = offset - this.#hashed;
    if (gap > 0 && gap <= gapBytes)
      await this.#take(this.#hashed, await this.#file.read(this.#hashed, gap, quiet(options)));
    const bytes = await this.#file.read(offset, length, options);
    await this.#take(offset, bytes);
    return bytes;
  }

  async settle(options: ReadOptions = {}): Promise<void> {
    await this.#file.settle?.(options);
    while (this.#hashed < this.size) {
      const length = Math.min(readBytes, this.size - this.#hashed);
      await this.#take(this.#hashed, await this.#file.read(this.#hashed, length, quiet(options)));
    }
    if (this.#isRight) return;
    const got = bytesToHex(this.#hash.digest());
    this.#hash = sha256.create();
    if (got !== this.#want) await this.#refuse(got);
    this.#isRight = true;
    await this.#hooks.onRight?.();
  }

  close(): void {
    this.#file.close();
  }

  async #refuse(got: string): Promise<never> {
    this.#hashed = 0;
    await this.#hooks.onWrong?.();
    throw new Damaged(
      `${this.name}: damaged, or another file; got SHA-256 ${got}, want ${this.#want}. What was kept of it is deleted: load again.`,
    );
  }

  async #take(offset: number, bytes: Uint8Array): Promise<void> {
    const end = offset + bytes.length;
    if (this.#isRight || offset > this.#hashed) return;
    while (this.#hashed < end) {
      const slice = bytes.subarray(this.#hashed - offset, this.#hashed - offset + sliceBytes);
      this.#hash.update(slice);
      this.#hashed += slice.length;
      if (this.#hashed < end) await new Promise((resolve) => setTimeout(resolve)); // lets the page go on
    }
  }
}

/** Bytes that nobody asked for are no progress. */
const quiet = ({ signal, until, onWait }: ReadOptions): ReadOptions => ({ signal, until, onWait });

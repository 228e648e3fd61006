// Downloads from other origins, kept in the Cache API in pieces: a second load needs no network, an interrupted one
// goes on where it stopped. One Cache per file: an entry "record" saying what the file is, and one entry per piece.
// Everything here degrades: without a Cache API, or once the quota is full, files are simply downloaded.

import type { ByteFile, ReadOptions } from "./bytes.ts";
import { allocate, checkRange, isObject } from "./bytes.ts";
import { HttpFile, Unreachable } from "./http.ts";
import type { Network, Version } from "./http.ts";

/** Also the memory a read takes beyond its result. */
export const pieceBytes = 8 * 2 ** 20;

const prefix = "longprompt:";
/** Cache keys must be http URLs; nothing is ever fetched from here. */
const keyOf = (entry: string | number): string => `https://longprompt.invalid/${entry}`;

/** What is known of a file: a version, or that it does not exist. */
type FileRecord = Version | "absent";

/** The pieces of one file. No method throws. */
class Pieces {
  readonly #cache: Cache;
  readonly #held = new Set<string>();
  /** Undefined: nothing known yet. */
  record: FileRecord | undefined;
  #isFull = false;

  private constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** Null where there is no Cache API, or it refuses. */
  static async open(caches: CacheStorage | undefined, url: string): Promise<Pieces | null> {
    try {
      if (!caches) return null;
      const pieces = new Pieces(await caches.open(prefix + url));
      pieces.record = parseRecord(await readRecord(pieces.#cache));
      for (const { url } of await pieces.#cache.keys()) pieces.#held.add(url);
      return pieces;
    } catch {
      return null;
    }
  }

  has(index: number): boolean {
    return this.#held.has(keyOf(index));
  }

  /** Null unless all `length` bytes of the piece are there. */
  async get(index: number, length: number): Promise<Uint8Array | null> {
    if (!this.has(index)) return null;
    const bytes = await this.#attempt(async () => {
      const response = await this.#cache.match(keyOf(index));
      return response ? new Uint8Array(await response.arrayBuffer()) : null;
    });
    return bytes?.length === length ? bytes : null;
  }

  async put(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#write(keyOf(index), new Response(bytes));
  }

  /** Forgets the pieces of any other version, and of one that cannot be told from others. */
  async setRecord(record: FileRecord): Promise<void> {
    const isSame = JSON.stringify(record) === JSON.stringify(this.record);
    if (isSame && (record === "absent" || record.tag !== "")) return;
    for (const key of this.#held) await this.#attempt(() => this.#cache.delete(key));
    this.#held.clear();
    this.record = record;
    await this.#write(keyOf("record"), Response.json(record));
  }

  async #write(key: string, response: Response): Promise<void> {
    if (this.#isFull) return;
    const written = await this.#attempt(async () => {
      await this.#cache.put(key, response);
      return true;
    });
    if (written) this.#held.add(key);
    else this.#isFull = true;
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch {
      return null;
    }
  }
}

async function readRecord(cache: Cache): Promise<unknown> {
  const response = await cache.match(keyOf("record"));
  return response?.json();
}

function parseRecord(value: unknown): FileRecord | undefined {
  if (value === "absent") return value;
  if (!isObject(value) || !Number.isSafeInteger(value["size"]) || typeof value["tag"] !== "string") return undefined;
  return { size: Number(value["size"]), tag: value["tag"] };
}

export interface CachedOptions {
  /** The URL names these bytes for ever (a commit): what is cached is not compared with the server. */
  isImmutable: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * A file from another origin, from the cache as far as it is there. Null if it does not exist. When the server cannot be
 * reached, what was true last time holds.
 */
export async function openCached(
  caches: CacheStorage | undefined,
  network: Network,
  url: string,
  { isImmutable, signal }: CachedOptions,
): Promise<ByteFile | null> {
  const pieces = await Pieces.open(caches, url);
  if (!pieces) return HttpFile.open(network, url, { signal });
  const known = pieces.record;
  if (!(isImmutable && known)) {
    try {
      const file = await HttpFile.open(network, url, { signal, ...(known ? { attempts: 1 } : {}) });
      if (file && !(file instanceof HttpFile)) return file;
      await pieces.setRecord(file ? { size: file.size, tag: file.tag } : "absent");
      return file ? new CachedFile(file, pieces) : null;
    } catch (error) {
      if (!(error instanceof Unreachable) || !known) throw error;
    }
  }
  return known === "absent" ? null : new CachedFile(new HttpFile(network, url, known), pieces);
}

/** Reads pieces from the cache, else from the server into the cache. */
class CachedFile implements ByteFile {
  readonly name: string;
  readonly size: number;
  readonly #file: HttpFile;
  readonly #pieces: Pieces;
  /** The piece read last: small tensors share one. */
  #recent: { index: number; bytes: Uint8Array } | null = null;

  constructor(file: HttpFile, pieces: Pieces) {
    this.#file = file;
    this.#pieces = pieces;
    this.name = file.name;
    this.size = file.size;
  }

  async read(offset: number, length: number, options: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this, offset, length);
    const result = allocate(length, this.name);
    const end = offset + length;
    for (let position = offset; position < end;) {
      options.signal?.throwIfAborted();
      const index = Math.floor(position / pieceBytes);
      const base = index * pieceBytes;
      const wanted = { begin: position - base, end: Math.min(end - base, pieceBytes) };
      const bytes = await this.#piece(index, wanted, options);
      result.set(bytes.subarray(wanted.begin, wanted.end), position - offset);
      position = base + wanted.end;
    }
    return result;
  }

  close(): void {
    this.#recent = null;
    this.#file.close();
  }

  /** The whole piece. Progress counts the bytes of it that are `wanted`. */
  async #piece(index: number, wanted: { begin: number; end: number }, options: ReadOptions): Promise<Uint8Array> {
    if (this.#recent?.index !== index) {
      const base = index * pieceBytes;
      const length = Math.min(pieceBytes, this.size - base);
      const cached = await this.#pieces.get(index, length);
      if (!cached) return this.#download(index, length, wanted, options);
      this.#recent = { index, bytes: cached };
    }
    options.onBytes?.(wanted.end - wanted.begin);
    return this.#recent.bytes;
  }

  async #download(
    index: number,
    length: number,
    wanted: { begin: number; end: number },
    { signal, until, onBytes }: ReadOptions,
  ): Promise<Uint8Array> {
    const base = index * pieceBytes;
    const clamp = (at: number) => Math.min(Math.max(at, wanted.begin), wanted.end);
    let arrived = 0;
    const count = (bytes: number) => {
      const before = clamp(arrived);
      arrived += bytes;
      if (clamp(arrived) > before) onBytes?.(clamp(arrived) - before);
    };
    const bytes = await this.#file.read(base, length, {
      signal,
      until: this.#missingUntil(index, until),
      onBytes: count,
    });
    this.#recent = { index, bytes };
    await this.#pieces.put(index, bytes);
    return bytes;
  }

  /** Where the run of missing pieces that begins with `index` ends: no further does a request reach. */
  #missingUntil(index: number, until = Infinity): number {
    let next = index + 1;
    while (next * pieceBytes < Math.min(until, this.size) && !this.#pieces.has(next)) next++;
    return next * pieceBytes;
  }
}

/** A small JSON value kept under `url`; undefined where there is none. */
export async function readNote(caches: CacheStorage | undefined, url: string): Promise<unknown> {
  try {
    const cache = await caches?.open(prefix + url);
    return cache ? await readRecord(cache) : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a small JSON value under `url`, if it can. */
export async function writeNote(caches: CacheStorage | undefined, url: string, note: unknown): Promise<void> {
  try {
    const cache = await caches?.open(prefix + url);
    await cache?.put(keyOf("record"), Response.json(note));
  } catch {
    // Full or forbidden: the note is only a convenience.
  }
}

/** Deletes what is cached of files whose URL begins with `urlPrefix`; by default everything this engine ever cached. */
export async function deleteCached(caches: CacheStorage | undefined, urlPrefix = ""): Promise<void> {
  try {
    for (const name of (await caches?.keys()) ?? []) {
      if (name.startsWith(prefix + urlPrefix)) await caches?.delete(name);
    }
  } catch {
    // No storage, nothing to delete.
  }
}

// Saved caches in the browser's storage: bytes in a Cache of their own for each save, in pieces whose keys carry length and
// SHA-256; everything else in a record in IndexedDB. The record is written last, in one transaction, and names the Cache: so a
// page that is closed in between leaves the save of before, or none. What is left of it then goes with the next save.
import { createStore, del, entries, get, set, type UseStore } from "idb-keyval";
import { ModelError } from "../errors.ts";
import { type Outcome, pieceBytes, Pieces } from "./files/pieces.ts";
import { type Platform, platform } from "./files/shelf.ts";

/** Of a save: what is known without its bytes. */
export interface SaveRecord<T> {
  /** Of the Cache. */
  cache: string;
  /** Milliseconds since 1970. */
  savedAt: number;
  usedAt: number;
  bytes: number;
  data: T;
}

/** Records by name: IndexedDB, or a stand-in for it. */
export interface Records {
  get(name: string): Promise<unknown>;
  set(name: string, record: unknown): Promise<void>;
  delete(name: string): Promise<void>;
  entries(): Promise<[string, unknown][]>;
}

const PREFIX = "longprompt-saved:";

/** What saves need of the platform. */
export interface SavePlatform extends Platform {
  records: Records | undefined;
}

export const savePlatform = (kind: string): SavePlatform => ({ ...platform(), records: recordsOf(kind) });

function recordsOf(kind: string): Records | undefined {
  try {
    if (!globalThis.indexedDB) return undefined;
  } catch {
    return undefined; // storage is blocked in sandboxed frames
  }
  const store: UseStore = createStore(`longprompt-${kind}`, "records");
  return {
    get: (name) => get(name, store),
    set: (name, record) => set(name, record, store),
    delete: (name) => del(name, store),
    entries: () => entries<string, unknown>(store),
  };
}

/** All saves of one kind. */
export class Saves<T> {
  readonly #platform: SavePlatform;
  /** For messages: "session". */
  readonly #kind: string;

  constructor(kind: string, given: SavePlatform = savePlatform(kind)) {
    this.#platform = given;
    this.#kind = kind;
  }

  get #prefix(): string {
    return `${PREFIX}${this.#kind}:`;
  }

  /** Names and records, the one used last first. */
  async list(): Promise<(SaveRecord<T> & { name: string })[]> {
    const all = (await this.#platform.records?.entries()) ?? [];
    const records = all.map(([name, record]) => ({ ...(record as SaveRecord<T>), name }));
    return records.toSorted((a, b) => b.usedAt - a.usedAt);
  }

  async find(name: string): Promise<SaveRecord<T> | null> {
    return ((await this.#platform.records?.get(name)) as SaveRecord<T> | undefined) ?? null;
  }

  /** It has been used: what was not used for longest goes first. */
  async touch(name: string, record: SaveRecord<T>): Promise<void> {
    await this.#platform.records?.set(name, { ...record, usedAt: Date.now() });
  }

  /** While `work` runs, nobody else, in any page, has this lock. */
  async locked<R>(lock: string, work: () => Promise<R>): Promise<R> {
    const { locks } = this.#platform;
    return locks ? ((await locks.request(this.#prefix + lock, {}, work)) as R) : work();
  }

  /** Writes `bytes` bytes as they come, and puts the save in the place of an older one of this name. */
  async put(
    name: string,
    bytes: number,
    data: T,
    stream: AsyncIterable<Uint8Array<ArrayBuffer>>,
  ): Promise<SaveRecord<T>> {
    if (!this.#platform.caches || !this.#platform.records) throw this.#unable();
    await this.#sweep();
    await this.#ask(name, bytes);
    const id = crypto.randomUUID();
    return this.locked(id, () => this.#put(name, this.#prefix + id, { bytes, data, stream }));
  }

  async #put(
    name: string,
    cache: string,
    { bytes, data, stream }: { bytes: number; data: T; stream: AsyncIterable<Uint8Array<ArrayBuffer>> },
  ): Promise<SaveRecord<T>> {
    const { caches, records } = this.#platform;
    const pieces = await Pieces.open(caches, cache);
    if (!pieces) throw this.#unable();
    try {
      const written = await this.#write(name, pieces, stream);
      if (written !== bytes) throw new RangeError(`${this.#kind}: got ${written} bytes, want ${bytes}`);
      const now = Date.now();
      const record = { cache, savedAt: now, usedAt: now, bytes, data };
      const old = await this.find(name);
      await records!.set(name, record);
      if (old) await caches!.delete(old.cache).catch(() => false); // it goes with the next save
      return record;
    } catch (error) {
      await pieces.forget();
      throw isFull(error) ? this.#full(name, `the browser refused`) : error;
    }
  }

  async #write(name: string, pieces: Pieces, stream: AsyncIterable<Uint8Array<ArrayBuffer>>): Promise<number> {
    let [index, written] = [0, 0];
    for await (const piece of inPieces(stream)) {
      const outcome: Outcome = await pieces.put(index++, piece);
      written += piece.length;
      if (outcome === "full") throw this.#full(name, `got ${written} bytes there before the browser refused`);
      if (outcome === "refused") throw this.#unable();
    }
    return written;
  }

  /** Deletes Caches that no record names and nobody writes: of pages that were closed while they did. */
  async #sweep(): Promise<void> {
    const { caches, locks } = this.#platform;
    const names = (await caches!.keys()).filter((name) => name.startsWith(this.#prefix));
    const named = new Set((await this.list()).map(({ cache }) => cache));
    for (const name of names.filter((each) => !named.has(each))) {
      if (!locks) await caches!.delete(name);
      else await locks.request(name, { ifAvailable: true }, async (lock) => void (lock && (await this.#drop(name))));
    }
  }

  /** Its record may have been written since the names were listed. */
  async #drop(cache: string): Promise<void> {
    if (!(await this.list()).some((record) => record.cache === cache)) await this.#platform.caches!.delete(cache);
  }

  async #ask(name: string, bytes: number): Promise<void> {
    const { quota = Infinity, usage = 0 } = (await this.#platform.storage?.estimate().catch(() => null)) ?? {};
    if (bytes > quota - usage) throw this.#full(name, `got ${Math.max(0, quota - usage)} bytes free, want ${bytes}`);
  }

  /**
   * Hands a save and its bytes, in order, to `work`: again where another page has put a newer one in its place meanwhile. Null
   * where there is none. Throws ModelError where the bytes are not what was saved.
   */
  async read<R>(name: string, work: (record: SaveRecord<T>, from: SaveReader) => Promise<R>): Promise<R | null> {
    const record = await this.find(name);
    if (!record) return null;
    try {
      return await work(record, await this.#reader(name, record));
    } catch (error) {
      const now = await this.find(name);
      if (now?.cache === record.cache) throw error;
      return this.read(name, work);
    }
  }

  async #reader(name: string, { cache, bytes }: SaveRecord<T>): Promise<SaveReader> {
    const { caches } = this.#platform;
    const damaged = () =>
      new ModelError(
        `${this.#kind} "${name}": it is damaged in the browser's storage; got less than its ${bytes} bytes as they were saved, want all. Delete it.`,
      );
    const pieces = (await caches?.has(cache)) ? await Pieces.open(caches, cache) : null;
    if (pieces?.heldBytes !== bytes) throw damaged();
    return new SaveReader(pieces, damaged);
  }

  /** Of one name, or all. Returns the bytes that they had. */
  async delete(name?: string): Promise<number> {
    const chosen = (await this.list()).filter((each) => name === undefined || each.name === name);
    for (const { name: own, cache } of chosen) {
      await this.#platform.records!.delete(own);
      await this.#platform.caches?.delete(cache);
    }
    return chosen.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #unable(): ModelError {
    return new ModelError(
      `${this.#kind}: this browser keeps nothing here; got no Cache API or IndexedDB, want both. Serve the page over https or from localhost, outside private windows.`,
      { code: "storage-full" },
    );
  }

  #full(name: string, figures: string): ModelError {
    return new ModelError(
      `${this.#kind} "${name}": too little room to keep it; ${figures}. Delete sessions, prefixes or models that are kept, or make room on the disk.`,
      { code: "storage-full" },
    );
  }
}

const isFull = (error: unknown): boolean => error instanceof Error && error.name === "QuotaExceededError";

/** The bytes of a save, in order. */
export class SaveReader {
  readonly #pieces: Pieces;
  readonly #damaged: () => ModelError;
  #index = 0;
  /** What has been read and not been asked for. */
  #left: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  constructor(pieces: Pieces, damaged: () => ModelError) {
    this.#pieces = pieces;
    this.#damaged = damaged;
  }

  async next(most: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#left.length === 0) this.#left = await this.#pieces.get(this.#index++);
    if (this.#left.length === 0) throw this.#damaged();
    const part = this.#left.subarray(0, most);
    this.#left = this.#left.subarray(part.length);
    return part;
  }

  async skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0;) left -= (await this.next(left)).length;
  }
}

/** The same bytes in pieces of 1 MiB, the last one shorter. */
async function* inPieces(
  stream: AsyncIterable<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let piece = new Uint8Array(pieceBytes);
  let filled = 0;
  for await (const bytes of stream) {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + pieceBytes - filled);
      piece.set(part, filled);
      at += part.length;
      filled += part.length;
      if (filled < pieceBytes) continue;
      yield piece;
      [piece, filled] = [new Uint8Array(pieceBytes), 0];
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

// Where downloads are kept: what the files of one load share. Storage, who may write to it, and how much of it there is.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { ModelError } from "../../errors.ts";
import { type FileRecord, Pieces, prefix, readNote, writeNote } from "./pieces.ts";

/** What of the platform downloads use. Absent outside secure contexts, and in Node. */
export interface Platform {
  caches: CacheStorage | undefined;
  locks: LockManager | undefined;
  storage: Pick<StorageManager, "estimate"> | undefined;
}

/** Touching any of it in a sandboxed frame may throw. */
export function platform(): Platform {
  const at = <T>(get: () => T): T | undefined => {
    try {
      return get();
    } catch {
      return undefined;
    }
  };
  const { navigator } = globalThis;
  return {
    caches: at(() => globalThis.caches),
    locks: at(() => navigator?.locks),
    storage: at(() => navigator?.storage),
  };
}

/** Under which a file is listed, and what `load` is given to have it again. */
export interface Listing {
  model: string;
  source: string;
}

/** Of a URL what may be stored: no name, no password, and a query (which may be a signature) as its hash alone. */
export function keyOf(address: string): string {
  const url = new URL(address);
  const query = url.search && `?${bytesToHex(sha256(utf8ToBytes(url.search))).slice(0, 16)}`;
  return url.protocol === "blob:" ? address : `${url.origin}${url.pathname}${query}`;
}

export class Shelf {
  readonly #platform: Platform;
  /** Files that this load has opened, and those of them of which something was there before. */
  readonly #opened = new Map<string, Pieces>();
  readonly #older = new Set<string>();
  readonly #notes = new Set<string>();
  readonly #files = new Set<{ close(): void }>();
  #overflow: Promise<ModelError> | undefined;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Null where nothing can be kept. */
  async open(key: string): Promise<Pieces | null> {
    const name = prefix + key;
    const pieces = this.#opened.get(name) ?? (await Pieces.open(this.#platform.caches, name));
    if (!pieces || this.#opened.has(name)) return pieces;
    this.#opened.set(name, pieces);
    if (pieces.record) this.#older.add(name);
    return pieces;
  }

  /** Closes `file` with this. */
  holds(file: { close(): void }): void {
    this.#files.add(file);
  }

  close(): void {
    for (const file of this.#files) file.close();
  }

  /** A record, and an error where there is no room for even that. */
  async record(pieces: Pieces, record: FileRecord): Promise<void> {
    if ((await pieces.setRecord(record)) === "full") throw await this.overflow();
  }

  readNote(url: string): Promise<unknown> {
    return readNote(this.#platform.caches, prefix + url);
  }

  async writeNote(url: string, note: unknown): Promise<void> {
    if ((await this.readNote(url)) === undefined) this.#notes.add(prefix + url);
    await writeNote(this.#platform.caches, prefix + url, note);
  }

  /** Those under an address and what follows it. */
  async notes(prefixUrl: string): Promise<unknown[]> {
    const names = (await this.#platform.caches?.keys().catch(() => [])) ?? [];
    const found = names.filter((name) => name.startsWith(prefix + prefixUrl));
    return Promise.all(found.map((name) => readNote(this.#platform.caches, name)));
  }

  /** Deletes files by their keys. */
  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#platform.caches?.delete(prefix + key).catch(() => false);
  }

  /**
   * Throws ModelError unless the browser says that there is room for `bytes` more. Nothing of what this load has kept is left
   * then. What it says may be too much: some browsers name the same figure to all.
   */
  async ask(bytes: number): Promise<void> {
    if (bytes === 0 || this.#opened.size === 0) return;
    const { quota = Infinity, usage = 0 } = (await this.#platform.storage?.estimate().catch(() => null)) ?? {};
    if (bytes <= quota - usage) return;
    const free = `${size(Math.max(0, quota - usage))} free of ${size(quota)} (${size(usage)} are in use)`;
    throw await this.#full(`got ${free}, want ${size(bytes)} more`);
  }

  /**
   * The error for a storage that takes no more, once everything that this load put there is gone. Several pieces under way may
   * be refused; the first to be counts what is there, and all have its error.
   */
  overflow(): Promise<ModelError> {
    return (this.#overflow ??= this.#emptied());
  }

  async #emptied(): Promise<ModelError> {
    const files = [...this.#opened.values()].filter(({ record }) => record?.version);
    const held = files.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
    const all = files.reduce((sum, { record }) => sum + record!.version!.size, 0);
    return this.#full(`got ${size(held)} of it there before the browser refused, want ${size(all)}`);
  }

  async #full(figures: string): Promise<ModelError> {
    const fresh = [...this.#opened].filter(([name]) => !this.#older.has(name)).map(([, pieces]) => pieces);
    const partial = [...this.#opened.values()].filter(
      (pieces) => pieces.heldBytes < (pieces.record?.version?.size ?? 0),
    );
    for (const pieces of new Set([...fresh, ...partial])) await pieces.forget();
    for (const name of this.#notes) await this.#platform.caches?.delete(name).catch(() => false);
    return new ModelError(
      `storage: too little room to keep the model; ${figures}. Delete a model that is kept, make room on the disk, or load with keep: false, which downloads each time.`,
      { code: "storage-full" },
    );
  }

  /**
   * Waits until no other page or engine downloads the file, then lets none until the function that is returned is called.
   * `onWait` is called at once where one does, and again every half second. Throws the signal's reason on abort.
   */
  async lock(key: string, onWait: () => Promise<void>, signal: AbortSignal): Promise<() => void> {
    const { locks } = this.#platform;
    if (!locks) return () => {};
    const name = prefix + key;
    return (await take(locks, name, { ifAvailable: true })) ?? (await waitFor(locks, name, onWait, signal));
  }
}

const WAIT_MS = 500;

async function waitFor(
  locks: LockManager,
  name: string,
  onWait: () => Promise<void>,
  signal: AbortSignal,
): Promise<() => void> {
  void onWait();
  const timer = setInterval(() => void onWait(), WAIT_MS);
  try {
    return (await take(locks, name, { signal }))!;
  } finally {
    clearInterval(timer);
  }
}

/** Resolves with what gives the lock back; with null where it is not available at once and that was asked. */
function take(locks: LockManager, name: string, options: LockOptions): Promise<(() => void) | null> {
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null) =>
      new Promise<void>((release) => {
        resolve(lock && release);
        if (!lock) release();
      });
    locks.request(name, options, held).catch(reject);
  });
}

const size = (bytes: number): string =>
  bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;

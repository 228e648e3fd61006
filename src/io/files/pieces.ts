// What is kept of one file: pieces of 1 MiB in a Cache of its own, beside a record that says what the file is.
//
// A piece may be there in part: its beginning, as far as it came before a cut. Length and SHA-256 of what is there stand in
// its key, so that one listing of keys tells what is missing, and a piece that has changed in storage is not used.

import { isObject } from "../../errors.ts";
import type { Version } from "./http.ts";

/** What is fetched twice, at most, of each range under way when a page is closed or crashes. */
export const pieceBytes = 2 ** 20;

/** How the Cache of a file is called, before the file's key. */
export const prefix = "longprompt:";
/** Cache keys must be http URLs; nothing is ever fetched from here. */
const place = "https://longprompt.invalid/";
const recordKey = `${place}record`;

/** What is known of a file of a model. */
export interface FileRecord {
  /** Under which it is listed: "org/name", or an address without secrets. */
  model: string;
  /** For `load`, to have it again. */
  source: string;
  file: string;
  /** Milliseconds since 1970, when it was first asked for. */
  since: number;
  /** Null: it does not exist. */
  version: Version | null;
  /** The whole file had the SHA-256 that is known of it. */
  checked: boolean;
}

/** What became of something that was to be kept. */
export type Outcome = "kept" | "full" | "refused";

/** A piece, or its beginning. */
interface Held {
  key: string;
  bytes: number;
  digest: string;
}

export class Pieces {
  readonly name: string;
  readonly #caches: CacheStorage;
  readonly #cache: Cache;
  #record: FileRecord | null = null;
  #held = new Map<number, Held>();

  private constructor(caches: CacheStorage, cache: Cache, name: string) {
    this.#caches = caches;
    this.#cache = cache;
    this.name = name;
  }

  /** Null where there is no Cache API, or it refuses. `name`: of its Cache. */
  static async open(caches: CacheStorage | undefined, name: string): Promise<Pieces | null> {
    try {
      if (!caches) return null;
      const pieces = new Pieces(caches, await caches.open(name), name);
      await pieces.refresh();
      return pieces;
    } catch {
      return null;
    }
  }

  /**
   * What other pages have written meanwhile. The pieces first: a record is there before any of them, and pieces that seem
   * to have none would be dropped as those of another version.
   */
  async refresh(): Promise<void> {
    const keys = await this.#cache.keys();
    const response = await this.#cache.match(recordKey);
    this.#record = parseRecord(await response?.json());
    this.#held = heldOf(keys.map(({ url }) => url));
  }

  /** Null: nothing known yet. */
  get record(): FileRecord | null {
    return this.#record;
  }

  /** Bytes of a piece that are there, from its beginning on. */
  held(index: number): number {
    return this.#held.get(index)?.bytes ?? 0;
  }

  /** Of all pieces. */
  get heldBytes(): number {
    return [...this.#held.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** What is there of a piece; nothing where it is no longer what was written. */
  async get(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const held = this.#held.get(index);
    const response = held && (await this.#cache.match(held.key).catch(() => undefined));
    const bytes = new Uint8Array((await response?.arrayBuffer().catch(() => undefined)) ?? new ArrayBuffer());
    if (held && held.bytes === bytes.length && held.digest === (await digestOf(bytes))) return bytes;
    await this.#drop(index);
    return new Uint8Array(0);
  }

  /** `bytes` from the beginning of the piece, instead of what was there. */
  async put(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<Outcome> {
    const digest = await digestOf(bytes);
    const key = `${place}${index}/${bytes.length}/${digest}`;
    const outcome = await this.#write(key, new Response(bytes));
    if (outcome !== "kept") return outcome;
    if (this.#held.get(index)?.key !== key) await this.#drop(index);
    this.#held.set(index, { key, bytes: bytes.length, digest });
    return outcome;
  }

  /** Forgets the pieces of any other version, and of one that cannot be told from others. */
  async setRecord(record: FileRecord): Promise<Outcome> {
    if (!isSame(record.version, this.#record?.version ?? null)) {
      for (const index of this.#held.keys()) await this.#drop(index);
    }
    this.#record = record;
    return this.#write(recordKey, Response.json(record));
  }

  /** Removes the file from storage. */
  async forget(): Promise<void> {
    this.#record = null;
    this.#held.clear();
    await this.#caches.delete(this.name).catch(() => false);
  }

  async #drop(index: number): Promise<void> {
    const held = this.#held.get(index);
    this.#held.delete(index);
    if (held) await this.#cache.delete(held.key).catch(() => false);
  }

  async #write(key: string, response: Response): Promise<Outcome> {
    try {
      await this.#cache.put(key, response);
      return "kept";
    } catch (error) {
      return error instanceof Error && error.name === "QuotaExceededError" ? "full" : "refused";
    }
  }
}

function isSame(a: Version | null, b: Version | null): boolean {
  if (a?.sha256 && b?.sha256) return a.sha256 === b.sha256;
  return a === b || (a?.size === b?.size && a?.tag === b?.tag && a?.tag !== "");
}

/** By piece, the longest of each. */
function heldOf(urls: readonly string[]): Map<number, Held> {
  const held = new Map<number, Held>();
  for (const key of urls) {
    const [, index, length, digest] = /\/(\d+)\/(\d+)\/([0-9a-f]{64})$/.exec(key) ?? [];
    const bytes = Number(length);
    if (digest === undefined || bytes <= (held.get(Number(index))?.bytes ?? 0)) continue;
    held.set(Number(index), { key, bytes, digest });
  }
  return held;
}

/** SHA-256, in hexadecimal. */
export async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function parseRecord(value: unknown): FileRecord | null {
  if (!isObject(value) || typeof value["file"] !== "string") return null;
  return value as unknown as FileRecord; // written by this file alone
}

/** A Cache of this engine, as far as it can be told: which model it belongs to, its file if it holds one, and bytes kept. */
export interface KeptCache {
  name: string;
  model: string;
  record: FileRecord | null;
  bytes: number;
}

/** All of them, whatever they hold. */
export async function readCaches(caches: CacheStorage): Promise<KeptCache[]> {
  const names = (await caches.keys()).filter((name) => name.startsWith(prefix));
  return Promise.all(
    names.map(async (name) => {
      const cache = await caches.open(name);
      const value: unknown = await (await cache.match(recordKey))?.json();
      const bytes = [...heldOf((await cache.keys()).map(({ url }) => url)).values()].reduce(
        (sum, held) => sum + held.bytes,
        0,
      );
      const model = isObject(value) && typeof value["model"] === "string" ? value["model"] : "";
      return { name, model, record: parseRecord(value), bytes };
    }),
  );
}

/** A small JSON value that is kept under a name; undefined where there is none. */
export async function readNote(caches: CacheStorage | undefined, name: string): Promise<unknown> {
  try {
    const cache = (await caches?.has(name)) ? await caches?.open(name) : undefined;
    const response = await cache?.match(recordKey);
    return await response?.json();
  } catch {
    return undefined;
  }
}

/** Keeps it, if it can: a note is only a convenience. */
export async function writeNote(caches: CacheStorage | undefined, name: string, note: unknown): Promise<void> {
  try {
    const cache = await caches?.open(name);
    await cache?.put(recordKey, Response.json(note));
  } catch {
    // full or forbidden
  }
}

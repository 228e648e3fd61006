// Downloads from other origins, kept in the Cache API: a second load needs no network, an interrupted one goes on where it
// stopped, and two pages that load one model download it once. Without a Cache API files are simply downloaded.

import type { ByteFile, ReadOptions } from "./bytes.ts";
import { allocate, checkRange } from "./bytes.ts";
import { CheckedFile } from "./checked.ts";
import { HttpFile, type Version } from "./http.ts";
import { type Network, Unreachable } from "./network.ts";
import { type FileRecord, pieceBytes, type Pieces } from "./pieces.ts";
import { keyOf, type Listing, type Shelf } from "./shelf.ts";
import { Transfer } from "./transfer.ts";

export interface CachedOptions {
  listing: Listing;
  /** Under which it is kept. Default: of its address. */
  key?: string;
  /** The URL names these bytes for ever (a commit): what is kept is not compared with the server. */
  isImmutable: boolean;
  /** As the host or the caller knows it; null where they do not say. */
  sha256?: string | null;
  /** As the host lists it, where it does. */
  bytes?: number | null;
  signal?: AbortSignal | undefined;
}

/**
 * A file from another origin, from storage as far as it is there. Null if it does not exist. When the server cannot be
 * reached, what was true last time holds.
 */
export async function openCached(
  shelf: Shelf,
  network: Network,
  url: string,
  options: CachedOptions,
): Promise<ByteFile | null> {
  const { sha256 = null, signal } = options;
  const key = options.key ?? keyOf(url);
  const pieces = await shelf.open(key);
  if (!pieces) return checked(await HttpFile.open(network, url, { signal }), sha256);
  const known = knownOf(pieces.record, options);
  const found = known === undefined ? await ask(network, url, pieces.record, signal) : known;
  if (found && !("tag" in found)) return checked(found, sha256);
  const version = found && { size: found.size, tag: found.tag, sha256: sha256 ?? found.sha256 };
  const file = url.split(/[?#]/)[0]!.split("/").at(-1)!;
  const record = { ...options.listing, file: decodeURIComponent(file), since: Date.now(), version, checked: false };
  const isKnown = pieces.record && found === pieces.record.version && version?.sha256 === found?.sha256;
  if (!isKnown && !isSame(pieces.record?.version, version)) await shelf.record(pieces, record);
  if (!version) return null;
  const http = found instanceof HttpFile ? found : new HttpFile(network, url, version, "no-store");
  const cached = new CachedFile({ network, http, pieces, shelf, key });
  shelf.holds(cached);
  return kept(cached, version.sha256, pieces, shelf);
}

/** What need not be asked: undefined where it must. */
function knownOf(record: FileRecord | null, { isImmutable, sha256, bytes }: CachedOptions): Version | null | undefined {
  if (record && (isImmutable || (sha256 && record.version?.sha256 === sha256 && record.checked))) return record.version;
  return sha256 && bytes ? { size: bytes, tag: "", sha256 } : undefined;
}

/** What the server says of it, or what it said last time where it cannot be reached. */
async function ask(
  network: Network,
  url: string,
  known: FileRecord | null,
  signal: AbortSignal | undefined,
): Promise<HttpFile | ByteFile | Version | null> {
  try {
    // of what is known, only whether it has changed is asked
    return await HttpFile.open(network, url, {
      signal,
      cache: "no-store",
      ...(known && { attempts: 1 }),
      ...(known?.version && { bytes: 1 }),
    });
  } catch (error) {
    if (!(error instanceof Unreachable) || !known) throw error;
    return known.version;
  }
}

/** Versions without a tag and a hash cannot be told apart. */
function isSame(a: Version | null | undefined, b: Version | null): boolean {
  if (!a || !b) return a === b;
  return a.size === b.size && a.tag === b.tag && a.sha256 === b.sha256 && Boolean(a.tag || a.sha256);
}

const checked = (file: ByteFile | null, sha256: string | null): ByteFile | null =>
  file && sha256 ? new CheckedFile(file, sha256) : file;

/** The same for a file that is kept: once it was the right one, it is not hashed again. */
function kept(file: CachedFile, sha256: string | null, pieces: Pieces, shelf: Shelf): ByteFile {
  if (!sha256 || pieces.record?.checked) return file;
  const onRight = () => shelf.record(pieces, { ...pieces.record!, checked: true });
  return new CheckedFile(file, sha256, { onRight, onWrong: () => file.forget() });
}

interface Parts {
  network: Network;
  http: HttpFile;
  pieces: Pieces;
  shelf: Shelf;
  key: string;
}

/** Reads pieces from storage, else from the server into storage. */
class CachedFile implements ByteFile {
  readonly name: string;
  readonly size: number;
  readonly #parts: Parts;
  readonly #transfer: Transfer;
  /** What was known of the file when it was opened. */
  readonly #record: FileRecord;
  /** The piece read last: small tensors share one. */
  #recent: { index: number; bytes: Uint8Array } | null = null;
  /** Gives back the right to download. */
  #release: (() => void) | null = null;
  #isClosed = false;

  constructor(parts: Parts) {
    const { network, http, pieces, shelf } = parts;
    this.#parts = parts;
    this.#transfer = new Transfer(network, http, pieces, shelf);
    this.#record = pieces.record!;
    this.name = http.name;
    this.size = http.size;
  }

  get missingBytes(): number {
    return this.#transfer.missingBytes;
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

  /** Every byte that is still missing. */
  async settle(options: ReadOptions = {}): Promise<void> {
    for (let index = 0; index * pieceBytes < this.size && !this.#transfer.isRefused; index++)
      if (this.#transfer.isMissing(index)) await this.#piece(index, { begin: 0, end: 0 }, options);
    if (this.missingBytes === 0) await this.#share();
  }

  close(): void {
    this.#recent = null;
    this.#isClosed = true;
    void this.#stop();
  }

  /** Removes what is kept of it. */
  async forget(): Promise<void> {
    this.#recent = null;
    await this.#transfer.stop();
    await this.#parts.pieces.forget();
    await this.#stop();
  }

  async #stop(): Promise<void> {
    await this.#transfer.stop();
    this.#parts.http.close();
    this.#release?.();
    this.#release = null;
  }

  /** The whole piece. Progress counts the bytes of it that are `wanted`. */
  async #piece(index: number, wanted: { begin: number; end: number }, options: ReadOptions): Promise<Uint8Array> {
    if (this.#recent?.index !== index) {
      const stored = (await this.#stored(index)) ?? (await this.#owned(index, options));
      if (!stored) return this.#download(index, wanted, options);
      this.#recent = { index, bytes: stored };
    }
    options.onBytes?.(wanted.end - wanted.begin);
    return this.#recent.bytes;
  }

  async #stored(index: number): Promise<Uint8Array | null> {
    if (this.#transfer.isMissing(index)) return null;
    const bytes = await this.#parts.pieces.get(index);
    return bytes.length === this.#transfer.lengthOf(index) ? bytes : null;
  }

  /** Takes the right to download, or the piece from the page that has it, once it is kept. */
  async #owned(index: number, { signal, onWait }: ReadOptions): Promise<Uint8Array | null> {
    if (this.#release) return null;
    const { shelf, pieces, key } = this.#parts;
    const found = new AbortController();
    const look = async (): Promise<void> => {
      await pieces.refresh();
      onWait?.(pieces.heldBytes, this.size);
      if (!this.#transfer.isMissing(index)) found.abort();
    };
    try {
      this.#release = await shelf.lock(key, look, AbortSignal.any([found.signal, ...(signal ? [signal] : [])]));
    } catch (error) {
      signal?.throwIfAborted();
      if (!found.signal.aborted) throw error;
      return (await this.#stored(index)) ?? (await this.#owned(index, { signal, onWait }));
    }
    if (this.#isClosed) await this.#stop();
    await pieces.refresh();
    if (!pieces.record) await shelf.record(pieces, this.#record); // deleted meanwhile
    return this.#stored(index);
  }

  async #download(
    index: number,
    wanted: { begin: number; end: number },
    { signal, until, onBytes }: ReadOptions,
  ): Promise<Uint8Array> {
    const clamp = (at: number) => Math.min(Math.max(at, wanted.begin), wanted.end);
    let counted = wanted.begin;
    const count = (arrived: number) => {
      const before = counted;
      counted = Math.max(counted, clamp(arrived));
      if (counted > before) onBytes?.(counted - before);
    };
    const bytes = await this.#transfer.piece(index, { signal, until }, count);
    count(bytes.length);
    this.#recent = { index, bytes };
    if (this.missingBytes === 0) await this.#share();
    return bytes;
  }

  /** The whole file is kept: others may read it. */
  async #share(): Promise<void> {
    await this.#transfer.stop();
    this.#release?.();
    this.#release = null;
  }
}

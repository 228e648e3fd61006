// Files on a server: range requests where it has them, one forward stream where not; retries in both.
//
// A response is kept open between reads and read on as long as offsets follow each other, so a file read in order costs
// one request per window, not one per tensor, and nothing is buffered here but the chunk in hand.

import { InputError, ModelError } from "../../errors.ts";
import { allocate, checkRange } from "./bytes.ts";
import type { ByteFile, ReadOptions } from "./bytes.ts";
import { BlobFile } from "./blob.ts";
import { guard, type Network, refuseForbidden, Transient } from "./network.ts";

/** First request of a file: most JSON files and most headers whole. */
const probeBytes = 256 * 2 ** 10;
/** Later requests: long enough for latency not to matter, short enough not to keep a server streaming for hours. */
const windowBytes = 64 * 2 ** 20;
/** Up to this distance, reading through unwanted bytes is faster than a new request. */
const skipBytes = 2 ** 20;

/** An open response body, and where in the file its next chunk lies. */
interface Stream {
  position: number;
  /** Runs from the start to the end of the file: the server has no ranges. */
  isWhole: boolean;
  chunk: Uint8Array;
  reader: ReadableStreamDefaultReader<Uint8Array>;
  controller: AbortController;
}

/** What identifies one state of a file. */
export interface Version {
  size: number;
  /** Strong ETag, else Last-Modified, else "": two versions with "" cannot be told apart. */
  tag: string;
  /** In hexadecimal, where the host or the caller gave it. */
  sha256: string | null;
}

interface ProbeOptions {
  signal?: AbortSignal | undefined;
  attempts?: number;
  /** Of the first request. */
  bytes?: number;
  cache?: RequestCache;
}

export class HttpFile implements ByteFile {
  readonly name: string;
  readonly size: number;
  readonly tag: string;
  readonly sha256: string | null;
  readonly #network: Network;
  readonly #cache: RequestCache;
  #stream: Stream | null = null;
  #hasRanges = true;
  #isClosed = false;

  /**
   * For a file whose size is known; `open` asks the server. `cache`: what the browser's own cache has to do with it. Of ranges
   * of one file that are asked for side by side, in one page or in two, it lets some wait, and asks for some of them twice.
   */
  constructor(network: Network, url: string, { size, tag, sha256 }: Version, cache: RequestCache = "default") {
    this.#network = network;
    this.#cache = cache;
    this.name = url;
    this.size = size;
    this.tag = tag;
    this.sha256 = sha256;
  }

  /** Null if the server has no such file. */
  static async open(
    network: Network,
    url: string,
    { signal, attempts, bytes = probeBytes, cache = "default" }: ProbeOptions,
  ): Promise<HttpFile | BlobFile | null> {
    return network.retry(() => HttpFile.#probe(network, url, { bytes, cache, signal }), url, signal, attempts);
  }

  static async #probe(
    network: Network,
    url: string,
    { bytes, cache, signal }: Required<Pick<ProbeOptions, "bytes" | "cache">> & ProbeOptions,
  ): Promise<HttpFile | BlobFile | null> {
    const controller = new AbortController();
    network.claim(null);
    const response = await network.request(url, rangeInit(0, bytes, cache), controller, signal);
    refuseForbidden(response, url);
    if (response.status === 416) return emptyOrFail(response, controller, url);
    // Development servers answer with their page instead of 404.
    const isPage = response.headers.get("content-type")?.startsWith("text/html") ?? false;
    if (!response.ok || isPage) return drop(controller, null);
    let size = sizeOf(response);
    if (size === null && response.status === 206) {
      // Another origin may hide Content-Range, never Content-Length.
      size = contentLength(await network.request(url, { method: "HEAD" }, new AbortController(), signal));
      if (size === null) return drop(controller, await wholeFile(network, url, signal));
    }
    if (size === null) return new BlobFile(await guard(response.blob(), controller, signal), url);
    const file = new HttpFile(network, url, { size, tag: tagOf(response), sha256: sha256Of(response) }, cache);
    network.claim(file);
    file.#take(response, 0, controller);
    return file;
  }

  /** Whether a position is asked for, not streamed to. Known once something has been read. */
  get hasRanges(): boolean {
    return this.#hasRanges;
  }

  async read(offset: number, length: number, options: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this, offset, length);
    const bytes = allocate(length, this.name);
    await this.fill(bytes, offset, options);
    return bytes;
  }

  /** As `read`, into memory of the caller's, front to back: where it fails, what `onBytes` has counted is there. */
  async fill(bytes: Uint8Array<ArrayBuffer>, offset: number, options: ReadOptions = {}): Promise<void> {
    const { length } = bytes;
    const end = Math.min(
      this.size,
      Math.max(offset + length, Math.min(options.until ?? Infinity, offset + windowBytes)),
    );
    let filled = 0;
    while (filled < length) {
      // Attempts are counted per chunk: only a file that makes no progress fails.
      const next = () => this.#next(offset + filled, length - filled, end, options.signal);
      const chunk = await this.#network.retry(next, this.name, options.signal);
      bytes.set(chunk, filled);
      filled += chunk.length;
      options.onBytes?.(chunk.length);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.pause();
  }

  /** Drops the open response; the next read asks again. */
  pause(): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.controller.abort();
    stream?.reader.cancel().catch(() => undefined);
  }

  /** 1 to `most` bytes at `position`. Any failure leaves no stream behind. */
  async #next(position: number, most: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
    try {
      const stream = await this.#streamTo(position, end, signal);
      const bytes = stream.chunk.subarray(0, most);
      stream.chunk = stream.chunk.subarray(bytes.length);
      stream.position += bytes.length;
      return bytes;
    } catch (error) {
      this.pause();
      throw error;
    }
  }

  /** A stream with at least one byte at `position` in hand. */
  async #streamTo(position: number, end: number, signal?: AbortSignal): Promise<Stream> {
    this.#network.claim(this);
    const open = this.#stream;
    const gap = position - (open?.position ?? Infinity);
    let isFresh = !(open && gap >= 0 && (open.isWhole || gap <= skipBytes));
    let stream = open && !isFresh ? open : await this.#request(position, end, signal);
    for (;;) {
      const skipped = Math.min(stream.chunk.length, position - stream.position);
      stream.position += skipped;
      stream.chunk = stream.chunk.subarray(skipped);
      if (stream.chunk.length > 0) return stream;
      const { done, value } = await guard(stream.reader.read(), stream.controller, signal);
      if (!done) stream.chunk = value;
      else if (isFresh) throw new Transient(`the response ended at byte ${stream.position} of ${this.size}`);
      else {
        // The end of its window; the next one follows.
        isFresh = true;
        stream = await this.#request(position, end, signal);
      }
    }
  }

  async #request(position: number, end: number, signal?: AbortSignal): Promise<Stream> {
    this.pause();
    if (this.#isClosed)
      throw new InputError(`${this.name}: closed; got a read, want none after close().`, { code: "disposed" });
    const controller = new AbortController();
    const response = await this.#network.request(this.name, rangeInit(position, end, this.#cache), controller, signal);
    refuseForbidden(response, this.name);
    if (!response.ok) {
      throw new ModelError(`${this.name}: vanished while loading; got HTTP ${response.status}, want 200 or 206.`, {
        code: "network",
      });
    }
    this.#checkVersion(response);
    const begin = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? position;
    if (response.status === 206 && Number(begin) !== position) {
      throw new ModelError(`${this.name}: the server sent other bytes; got offset ${begin}, want ${position}.`);
    }
    return this.#take(response, response.status === 206 ? position : 0, controller);
  }

  #checkVersion(response: Response): void {
    const size = sizeOf(response) ?? this.size;
    const tag = tagOf(response) || this.tag;
    if (size === this.size && (tag === this.tag || this.tag === "")) return;
    throw new ModelError(
      `${this.name}: changed while loading; got ${size} bytes ${tag}, want ${this.size} bytes ${this.tag}. Load again.`,
      { code: "network" },
    );
  }

  #take(response: Response, position: number, controller: AbortController): Stream {
    if (!response.body) throw new Transient("a response without a body");
    const isWhole = response.status !== 206;
    this.#hasRanges = !isWhole;
    this.#stream = { position, isWhole, chunk: new Uint8Array(0), reader: response.body.getReader(), controller };
    return this.#stream;
  }
}

/** Bytes [begin, end). */
const rangeInit = (begin: number, end: number, cache: RequestCache): RequestInit => ({
  headers: { range: `bytes=${begin}-${end - 1}` },
  cache,
});

function drop<T>(controller: AbortController, result: T): T {
  controller.abort();
  return result;
}

/** 416 for a range from 0 says the file is empty. */
function emptyOrFail(response: Response, controller: AbortController, url: string): BlobFile {
  drop(controller, null);
  const size = response.headers.get("content-range");
  if (size === null || size === "bytes */0") return new BlobFile(new Blob([]), url);
  throw new ModelError(`${url}: range refused; got HTTP 416 (${size}), want 206.`);
}

/** Where no size is to be had: the browser collects the file, on disk if it must. */
async function wholeFile(network: Network, url: string, signal?: AbortSignal): Promise<BlobFile> {
  const controller = new AbortController();
  const response = await network.request(url, {}, controller, signal);
  if (!response.ok)
    throw new ModelError(`${url}: download failed; got HTTP ${response.status}, want 200.`, { code: "network" });
  return new BlobFile(await guard(response.blob(), controller, signal), url);
}

/** The file's size, or null where the response does not say. */
function sizeOf(response: Response): number | null {
  if (response.status !== 206) return contentLength(response);
  const total = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[2];
  return total === undefined ? null : Number(total);
}

/** Of a compressed response the length says nothing about the file. */
function contentLength(response: Response): number | null {
  const length = response.headers.get("content-length");
  const isEncoded = !["", "identity"].includes(response.headers.get("content-encoding") ?? "");
  return response.ok && length !== null && !isEncoded ? Number(length) : null;
}

function tagOf(response: Response): string {
  const etag = response.headers.get("etag") ?? "W/";
  return etag.startsWith("W/") ? (response.headers.get("last-modified") ?? "") : etag;
}

/** The hub names the hash of a large file so; the ETag of any other server may be anything. */
function sha256Of(response: Response): string | null {
  return /^"?([0-9a-f]{64})"?$/.exec(response.headers.get("x-linked-etag") ?? "")?.[1] ?? null;
}

/** For URLs in options: absolute, or relative to the page. Throws InputError. */
export function absoluteUrl(url: string): URL {
  const base: unknown = Reflect.get(globalThis, "location");
  try {
    return base instanceof Object && "href" in base ? new URL(url, String(base.href)) : new URL(url);
  } catch (cause) {
    throw new InputError(`model source: not a URL; got "${url}", want https://…, or a path on the page's origin.`, {
      code: "bad-source",
      cause,
    });
  }
}

// Files on a server: range requests where it has them, one forward stream where not; retries in both.
//
// A response is kept open between reads and read on as long as offsets follow each other, so a file read in order costs
// one request per window, not one per tensor, and nothing is buffered here but the chunk in hand.

import { InputError, ModelError } from "../../errors.ts";
import { allocate, checkRange } from "./bytes.ts";
import type { ByteFile, ReadOptions } from "./bytes.ts";
import { BlobFile } from "./local.ts";

/** First request of a file: most JSON files and most headers whole. */
const probeBytes = 256 * 2 ** 10;
/** Later requests: long enough for latency not to matter, short enough not to keep a server streaming for hours. */
const windowBytes = 64 * 2 ** 20;
/** Up to this distance, reading through unwanted bytes is faster than a new request. */
const skipBytes = 2 ** 20;
const maxAttempts = 5;
const maxPauseMs = 30_000;
/** No byte for this long counts as a lost connection. */
const stallMs = 60_000;

/** The server cannot be reached, or keeps failing. What is cached may still be used. */
export class Unreachable extends ModelError {}

/** Worth another attempt. */
class Transient extends Error {
  readonly pauseMs: number;
  constructor(message: string, pauseMs = 0) {
    super(message);
    this.pauseMs = pauseMs;
  }
}

/** What the requests of one checkpoint share. */
export class Network {
  readonly #fetch: typeof fetch;
  readonly #retryMs: number;
  /** The one file whose response is open: more would fill the browser's six connections per host and stop for good. */
  #streaming: HttpFile | null = null;

  /** `retryMs`: first pause before another attempt, doubled each time. */
  constructor(fetchFunction: typeof fetch, retryMs: number) {
    this.#fetch = fetchFunction;
    this.#retryMs = retryMs;
  }

  /** `file` is about to have a response open (null: one not made yet); any other loses its own. */
  claim(file: HttpFile | null): void {
    if (this.#streaming !== file) this.#streaming?.pause();
    this.#streaming = file;
  }

  /** Repeats `work` while it fails for a passing reason. */
  async retry<T>(work: () => Promise<T>, url: string, signal?: AbortSignal, attempts = maxAttempts): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof Transient)) throw error;
        if (attempt >= attempts) throw unreachable(url, error, attempt);
        await sleep(Math.min(maxPauseMs, Math.max(error.pauseMs, this.#retryMs * 2 ** (attempt - 1))), signal);
      }
    }
  }

  /** Success, or one of the failures that mean something to the caller, its body dropped. Other statuses throw. */
  async request(url: string, init: RequestInit, controller: AbortController, signal?: AbortSignal): Promise<Response> {
    const send = this.#fetch;
    const sent = send(url, { ...init, signal: controller.signal });
    const response = await guard(sent, controller, signal);
    if (response.ok) return response;
    await response.body?.cancel().catch(() => undefined);
    if ([401, 403, 404, 405, 410, 416].includes(response.status)) return response;
    if ([408, 425, 429, 500, 502, 503, 504].includes(response.status)) {
      throw new Transient(`HTTP ${response.status}`, 1000 * Number(response.headers.get("retry-after")) || 0);
    }
    throw new ModelError(`${url}: download failed; got HTTP ${response.status}, want 200 or 206.`, { code: "network" });
  }

  /** A small answer and its JSON; undefined where it has none. */
  async json(url: string, signal?: AbortSignal, attempts?: number): Promise<{ response: Response; body: unknown }> {
    const once = async () => {
      const controller = new AbortController();
      const response = await this.request(url, {}, controller, signal);
      const text = response.ok ? await guard(response.text(), controller, signal) : "";
      return { response, body: parseOrUndefined(text) };
    };
    return this.retry(once, url, signal, attempts);
  }
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreachable(url: string, error: Error, attempts: number): Unreachable {
  return new Unreachable(
    `${url}: cannot be downloaded; got ${error.message} (${attempts} ${attempts === 1 ? "attempt" : "attempts"}), want an answer. Is the network up, and does the server allow this page (CORS)?`,
    { code: "network", cause: error },
  );
}

/** Throws for 401 and 403. */
export function refuseForbidden(response: Response, url: string): void {
  if (response.status !== 401 && response.status !== 403) return;
  const isGated = response.headers.get("x-error-code") === "GatedRepo";
  const what = isGated ? "the model is gated" : "access refused: gated, private or absent";
  throw new ModelError(
    `${url}: ${what}; got HTTP ${response.status}, want a public file. Accept its licence on the model's page, download the files there and pick the folder.`,
    { code: isGated ? "gated" : "not-public" },
  );
}

/**
 * Settles like `work`, or aborts `controller` and rejects when the caller's signal fires or nothing happens for a
 * minute. Network failures become Transient.
 */
async function guard<T>(work: Promise<T>, controller: AbortController, signal?: AbortSignal): Promise<T> {
  let settle: (error: unknown) => void;
  const aborted = new Promise<never>((_, reject) => (settle = reject));
  const stop = (reason: unknown) => {
    settle(reason);
    controller.abort(reason);
  };
  const onAbort = () => stop(signal?.reason);
  const timer = setTimeout(() => stop(new Transient(`no data for ${stallMs / 1000} s`)), stallMs);
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();
  try {
    return await Promise.race([work, aborted]);
  } catch (error) {
    if (error instanceof Transient || error === signal?.reason) throw error;
    // fetch says TypeError for every network failure, a broken body may say anything
    throw new Transient(error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    work.catch(() => undefined);
  }
}

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason as Error)), { once: true });
  });
}

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
}

export class HttpFile implements ByteFile {
  readonly name: string;
  readonly size: number;
  readonly tag: string;
  readonly #network: Network;
  #stream: Stream | null = null;
  #isClosed = false;

  /** For a file whose size is known; `open` asks the server. */
  constructor(network: Network, url: string, { size, tag }: Version) {
    this.#network = network;
    this.name = url;
    this.size = size;
    this.tag = tag;
  }

  /** Null if the server has no such file. */
  static async open(
    network: Network,
    url: string,
    { signal, attempts }: { signal?: AbortSignal | undefined; attempts?: number },
  ): Promise<HttpFile | BlobFile | null> {
    return network.retry(() => HttpFile.#probe(network, url, signal), url, signal, attempts);
  }

  static async #probe(network: Network, url: string, signal?: AbortSignal): Promise<HttpFile | BlobFile | null> {
    const controller = new AbortController();
    network.claim(null);
    const response = await network.request(url, rangeInit(0, probeBytes), controller, signal);
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
    const file = new HttpFile(network, url, { size, tag: tagOf(response) });
    network.claim(file);
    file.#take(response, 0, controller);
    return file;
  }

  async read(offset: number, length: number, options: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this, offset, length);
    const bytes = allocate(length, this.name);
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
    return bytes;
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
    const response = await this.#network.request(this.name, rangeInit(position, end), controller, signal);
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
    this.#stream = { position, isWhole, chunk: new Uint8Array(0), reader: response.body.getReader(), controller };
    return this.#stream;
  }
}

/** Bytes [begin, end). */
const rangeInit = (begin: number, end: number): RequestInit => ({ headers: { range: `bytes=${begin}-${end - 1}` } });

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

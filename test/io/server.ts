// A server and a browser's storage in memory, as badly behaved as a test wants them.

import type { Platform } from "../../src/io/files/shelf.ts";

export interface Request {
  url: string;
  method: string;
  /** [begin, end) as asked, end not clamped; null without a Range header. */
  range: [number, number] | null;
  authorization: string | null;
}

export interface ServerOptions {
  /** Default true. */
  ranges?: boolean;
  /** Instead of the answer: a response, an error to throw, or undefined to answer as usual. */
  interfere?: (request: Request, attempt: number) => Response | Error | undefined;
  /** Bytes per chunk of a body. Default 1000. */
  chunkBytes?: number;
  /** The body breaks after so many bytes, for the n-th response (from 0). */
  breakAfter?: (response: number, url: string) => number | undefined;
  /** Called with the address after each chunk that is sent. */
  onSent?: (url: string) => void;
  headers?: Record<string, string>;
  /** A byte of the n-th response (from 0) that is sent with another bit. */
  flip?: (what: { url: string; response: number }) => number | undefined;
  /** Headers a browser would hide from another origin. */
  hidden?: readonly string[];
}

export interface Server {
  fetch: typeof fetch;
  log: Request[];
  /** Bytes that left the server, in all and by address. */
  sentBytes: number;
  sent: Map<string, number>;
  /** Most bodies that were neither ended nor dropped at one time. */
  mostOpen: number;
  files: Map<string, Uint8Array<ArrayBuffer>>;
}

/** Different for contents that differ, as far as the tests need. */
function tagOf(bytes: Uint8Array): string {
  let sum = bytes.length;
  for (let i = 0; i < bytes.length; i += 1009) sum = (sum * 31 + bytes[i]!) % 1_000_003;
  return `"${sum}"`;
}

/** Serves `files` by absolute URL. */
export function serve(files: Map<string, Uint8Array<ArrayBuffer>>, options: ServerOptions = {}): Server {
  const server: Server = { log: [], sentBytes: 0, sent: new Map(), mostOpen: 0, files, fetch: answer };
  let responses = 0;
  let open = 0;

  async function answer(input: string | URL | globalThis.Request, init?: RequestInit): Promise<Response> {
    init?.signal?.throwIfAborted();
    const url = String(input);
    const match = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get("range") ?? "");
    const range: Request["range"] = match ? [Number(match[1]), Number(match[2]) + 1] : null;
    const authorization = new Headers(init?.headers).get("authorization");
    const request = { url, method: init?.method ?? "GET", range, authorization };
    server.log.push(request);
    const answer = options.interfere?.(request, server.log.length);
    if (answer instanceof Error) throw answer;
    if (answer) return answer;
    const bytes = server.files.get(url);
    if (!bytes) return new Response("no such file", { status: 404 });
    return respond(bytes, request, init?.signal ?? undefined);
  }

  function respond(bytes: Uint8Array, { url, method, range }: Request, signal: AbortSignal | undefined): Response {
    const headers = new Headers({ etag: tagOf(bytes), ...options.headers });
    const [begin, end] =
      range && options.ranges !== false ? [range[0], Math.min(range[1], bytes.length)] : [0, bytes.length];
    const partial = range !== null && options.ranges !== false;
    if (partial && begin >= bytes.length) return new Response(null, { status: 416 });
    if (partial) headers.set("content-range", `bytes ${begin}-${end - 1}/${bytes.length}`);
    headers.set("content-length", String(end - begin));
    for (const name of options.hidden ?? []) headers.delete(name);
    if (method === "HEAD") return new Response(null, { status: partial ? 206 : 200, headers });
    const response = responses++;
    const sent = bytes.slice(begin, end);
    const flipped = options.flip?.({ url, response });
    if (flipped !== undefined) sent[flipped]! ^= 1;
    const count = (some: number) => {
      server.sent.set(url, (server.sent.get(url) ?? 0) + some);
      options.onSent?.(url);
    };
    const body = stream(sent, { breakAfter: options.breakAfter?.(response, url), signal, count });
    return new Response(body, { status: partial ? 206 : 200, headers });
  }

  function stream(
    bytes: Uint8Array,
    {
      breakAfter,
      signal,
      count,
    }: { breakAfter: number | undefined; signal: AbortSignal | undefined; count: (bytes: number) => void },
  ) {
    let sent = 0;
    let isOpen = true;
    const end = () => {
      if (isOpen) open--;
      isOpen = false;
    };
    server.mostOpen = Math.max(server.mostOpen, ++open);
    signal?.addEventListener("abort", end);
    return new ReadableStream<Uint8Array>({
      cancel: end,
      pull(controller) {
        if (signal?.aborted) return controller.error(signal.reason);
        const isBroken = breakAfter !== undefined && sent >= breakAfter;
        if (isBroken || sent === bytes.length) end();
        if (isBroken) return controller.error(new TypeError("network error"));
        if (sent === bytes.length) return controller.close();
        const chunk = bytes.slice(sent, Math.min(sent + (options.chunkBytes ?? 1000), breakAfter ?? Infinity));
        sent += chunk.length;
        server.sentBytes += chunk.length;
        count(chunk.length);
        controller.enqueue(chunk);
      },
    });
  }

  return server;
}

/** As much of CacheStorage as the engine uses. `quotaBytes` bounds what all caches together hold. */
function memoryCaches(quotaBytes: number): { caches: CacheStorage; used: () => number } {
  const caches = new Map<string, Map<string, Uint8Array<ArrayBuffer>>>();
  const used = () =>
    [...caches.values()].flatMap((entries) => [...entries.values()]).reduce((sum, e) => sum + e.length, 0);
  const open = async (name: string) => {
    const entries = caches.get(name) ?? new Map<string, Uint8Array<ArrayBuffer>>();
    caches.set(name, entries);
    return {
      match: async (key: string) => (entries.has(key) ? new Response(entries.get(key)) : undefined),
      put: async (key: string, response: Response) => {
        const bytes = new Uint8Array(await response.arrayBuffer());
        if (used() + bytes.length > quotaBytes) throw new DOMException("quota", "QuotaExceededError");
        entries.set(key, bytes);
      },
      delete: async (key: string) => entries.delete(key),
      keys: async () => [...entries.keys()].map((url) => ({ url })),
      /** For tests that look at, or damage, what is stored. */
      entries,
    };
  };
  const storage = {
    open,
    has: async (name: string) => caches.has(name),
    keys: async () => [...caches.keys()],
    delete: async (name: string) => caches.delete(name),
  };
  return { caches: storage as unknown as CacheStorage, used };
}

/** As much of LockManager as the engine uses. */
function memoryLocks(): LockManager {
  const queues = new Map<string, Promise<unknown>>();
  const request = async (name: string, options: LockOptions, work: (lock: Lock | null) => Promise<void>) => {
    if (options.ifAvailable && queues.has(name)) return work(null);
    const before = queues.get(name) ?? Promise.resolve();
    const { signal } = options;
    const isAborted = new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    isAborted.catch(() => undefined);
    const turn = before.then(() => signal?.throwIfAborted());
    const done = Promise.race([turn, isAborted]).then(() => work({ name, mode: "exclusive" }));
    const last = Promise.allSettled([before, done]).then(() => void (queues.get(name) === last && queues.delete(name)));
    queues.set(name, last);
    return done;
  };
  return { request } as unknown as LockManager;
}

export interface MemoryPlatform extends Platform {
  caches: CacheStorage;
  used: () => number;
}

/** What a browser with so much room offers. `toldBytes`: what its estimate says of it. */
export function memoryPlatform(quotaBytes = Infinity, toldBytes = quotaBytes): MemoryPlatform {
  const { caches, used } = memoryCaches(quotaBytes);
  const storage = { estimate: async () => ({ quota: toldBytes, usage: used() }) };
  return { caches, used, locks: memoryLocks(), storage };
}

/** All entries of the cache whose name holds `part`. */
export async function entriesOf(caches: CacheStorage, part: string): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const name = (await caches.keys()).find((each) => each.includes(part))!;
  return ((await caches.open(name)) as unknown as { entries: Map<string, Uint8Array<ArrayBuffer>> }).entries;
}

// Requests to servers: retries, stalls, refusals, and who may see the caller's token.

import { ModelError } from "../../errors.ts";

const maxAttempts = 5;
const maxPauseMs = 30_000;
/** No byte for this long counts as a lost connection. */
const stallMs = 60_000;

/** The server cannot be reached, or keeps failing. What is cached may still be used. */
export class Unreachable extends ModelError {}

/** Worth another attempt. */
export class Transient extends Error {
  readonly pauseMs: number;
  constructor(message: string, pauseMs = 0) {
    super(message);
    this.pauseMs = pauseMs;
  }
}

/** What holds a response open between reads. */
interface Streaming {
  pause(): void;
}

export interface NetworkOptions {
  fetch: typeof fetch;
  /** First pause before another attempt, doubled each time. */
  retryMs: number;
  /** Sent to this origin alone, and kept nowhere. */
  token?: { value: string; origin: string } | undefined;
}

/** What the requests of one checkpoint share. */
export class Network {
  readonly #options: NetworkOptions;
  /** The one file whose response is open: more would fill the browser's six connections per host and stop for good. */
  #streaming: Streaming | null = null;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** The same for a file whose responses are read to their end at once: it takes nobody's place. */
  aside(): Network {
    return new Network(this.#options);
  }

  /** `file` is about to have a response open (null: one not made yet); any other loses its own. */
  claim(file: Streaming | null): void {
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
        await sleep(Math.min(maxPauseMs, Math.max(error.pauseMs, this.#options.retryMs * 2 ** (attempt - 1))), signal);
      }
    }
  }

  /** Success, or one of the failures that mean something to the caller, its body dropped. Other statuses throw. */
  async request(url: string, init: RequestInit, controller: AbortController, signal?: AbortSignal): Promise<Response> {
    const { fetch: send } = this.#options;
    const headers = { ...(init.headers as Record<string, string> | undefined), ...this.#authorization(url) };
    const sent = send(url, { ...init, headers, signal: controller.signal });
    const response = await guard(sent, controller, signal);
    if (response.ok) return response;
    await response.body?.cancel().catch(() => undefined);
    if ([401, 403, 404, 405, 410, 416].includes(response.status)) return response;
    if ([408, 425, 429, 500, 502, 503, 504].includes(response.status)) {
      throw new Transient(`HTTP ${response.status}`, 1000 * Number(response.headers.get("retry-after")) || 0);
    }
    throw new ModelError(`${url}: download failed; got HTTP ${response.status}, want 200 or 206.`, { code: "network" });
  }

  #authorization(url: string): Record<string, string> {
    const { token } = this.#options;
    return token && new URL(url).origin === token.origin ? { authorization: `Bearer ${token.value}` } : {};
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
    `${url}: ${what}; got HTTP ${response.status}, want a public file. Accept its licence on the model's page and give a token, or download the files there and pick the folder.`,
    { code: isGated ? "gated" : "not-public" },
  );
}

/**
 * Settles like `work`, or aborts `controller` and rejects when the caller's signal fires or nothing happens for a
 * minute. Network failures become Transient.
 */
export async function guard<T>(work: Promise<T>, controller: AbortController, signal?: AbortSignal): Promise<T> {
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

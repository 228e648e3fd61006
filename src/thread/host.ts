// The worker's end: runs calls, and tells what comes of them.
import type { Engine } from "../api.ts";
import { packError, unpackError } from "./errors.ts";
import { type Call, type FromWorker, type Service, SERVICE, type ToWorker } from "./protocol.ts";

/** Milliseconds between two reports of an engine's figures while a stream runs. */
const STATS_EVERY = 100;

interface Running {
  stopping: AbortController;
  /** Items that may be sent. */
  room: number;
  /** Nobody reads its stream. */
  left: boolean;
  /** Called when `room` or `left` changes. */
  wake: () => void;
}

type Method = (...args: unknown[]) => unknown;

export class Host {
  readonly #post: (message: FromWorker) => void;
  readonly #objects = new Map<number, Promise<object>>();
  readonly #engines = new Map<number, Engine>();
  readonly #running = new Map<number, Running>();
  /** Callbacks under way in the page. */
  readonly #answers = new Map<number, { resolve: () => void; reject: (error: unknown) => void }>();
  #runs = 0;
  #toldAt = 0;

  constructor(post: (message: FromWorker) => void, service: Service) {
    this.#post = post;
    this.#objects.set(SERVICE, Promise.resolve(service));
  }

  hear(message: ToWorker): void {
    switch (message.type) {
      case "longprompt:hello":
        return;
      case "call":
        return void this.#run(message);
      case "abort":
        return this.#running.get(message.call)?.stopping.abort();
      case "more":
        return this.#change(message.call, (running) => (running.room += message.count));
      case "leave":
        return this.#change(message.call, (running) => {
          running.left = true;
          running.stopping.abort();
        });
      case "answer":
        return this.#answered(message);
      case "release":
        this.#engines.delete(message.object);
        return void this.#objects.delete(message.object);
    }
  }

  #change(call: number, change: (running: Running) => void): void {
    const running = this.#running.get(call);
    if (!running) return;
    change(running);
    running.wake();
  }

  async #run(asked: Call): Promise<void> {
    const { call, makes } = asked;
    const running: Running = { stopping: new AbortController(), room: asked.room, left: false, wake: () => {} };
    this.#running.set(call, running);
    try {
      const result = this.#invoke(asked, running);
      if (makes !== null) await this.#keep(makes, result);
      const value = makes === null ? await this.#sent(call, running, await result) : undefined;
      this.#tellStats();
      this.#post({ type: "done", call, value });
    } catch (error) {
      const { signal } = running.stopping;
      this.#tellStats();
      this.#post({ type: "failed", call, error: packError(error, signal.aborted ? signal.reason : null) });
    } finally {
      this.#running.delete(call);
    }
  }

  /** What a method returns, or a field holds. */
  async #invoke({ object, path, args, places }: Call, running: Running): Promise<unknown> {
    const given = [...args];
    const values = places.map((place) => this.#valueAt(place, running));
    let [owner, ...filled]: unknown[] = await Promise.all([this.#at(object), ...values]);
    for (const [i, { arg, field }] of places.entries()) {
      if (field === null) given[arg] = filled[i];
      else (given[arg] as Record<string, unknown>)[field] = filled[i];
    }
    for (const name of path.slice(0, -1)) owner = (owner as Record<string, unknown>)[name];
    const member = (owner as Record<string, unknown>)[path.at(-1)!];
    return typeof member === "function" ? (member as Method).apply(owner, given) : member;
  }

  async #at(object: number): Promise<object> {
    const found = this.#objects.get(object);
    if (!found) throw new Error(`worker: got a call of object ${object}, which was released, want one that lives`);
    return found;
  }

  #valueAt(place: Call["places"][number], { stopping }: Running): unknown {
    switch (place.is) {
      case "object":
        return this.#at(place.object);
      case "callback":
        return (...args: unknown[]) => this.#callBack(place.callback, args);
      case "signal":
        if (place.aborted) stopping.abort();
        return stopping.signal;
    }
  }

  /** The promise is for callers that wait; the others hear of a failure by their signal. */
  #callBack(callback: number, args: readonly unknown[]): Promise<void> {
    const run = this.#runs++;
    const answer = new Promise<void>((resolve, reject) => this.#answers.set(run, { resolve, reject }));
    answer.catch(() => {});
    this.#tellStats(STATS_EVERY);
    this.#post({ type: "callback", callback, run, args });
    return answer;
  }

  #answered({ run, error }: Extract<ToWorker, { type: "answer" }>): void {
    const answer = this.#answers.get(run);
    this.#answers.delete(run);
    if (error) answer?.reject(unpackError(error));
    else answer?.resolve();
  }

  /** The object can be called from now on; calls wait until it is made. */
  async #keep(object: number, made: Promise<unknown>): Promise<void> {
    const kept = made as Promise<object>;
    this.#objects.set(object, kept);
    const value = await kept;
    if ("stats" in value) this.#engines.set(object, value as Engine);
  }

  /** What goes to the page in the end: the result of a stream, once its items have been sent. */
  async #sent(call: number, running: Running, result: unknown): Promise<unknown> {
    if (!isStream(result)) return result;
    this.#post({ type: "begun", call });
    const items = result[Symbol.asyncIterator]();
    while (await this.#hasRoom(running)) {
      const { done, value: item } = await items.next();
      if (done) break;
      this.#tellStats(STATS_EVERY);
      running.room--;
      this.#post({ type: "item", call, item });
    }
    if (running.left) await items.return?.();
    return await result.result;
  }

  /** Whether another item is wanted, once that is known. */
  async #hasRoom(running: Running): Promise<boolean> {
    while (running.room === 0 && !running.left) await new Promise<void>((resolve) => (running.wake = resolve));
    return !running.left;
  }

  /** `every`: not within so many milliseconds of the last time. */
  #tellStats(every = 0): void {
    const now = performance.now();
    if (now - this.#toldAt < every) return;
    this.#toldAt = now;
    for (const [object, engine] of this.#engines) this.#post({ type: "stats", object, stats: engine.stats() });
  }
}

const isStream = (value: unknown): value is AsyncIterable<unknown> & { result?: Promise<unknown> } =>
  value instanceof Object && Symbol.asyncIterator in value;

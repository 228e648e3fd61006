// The page's end: calls under way, and what the worker says of them.
import type { EngineStats } from "../api.ts";
import { InputError } from "../errors.ts";
import { packError, unpackError } from "./errors.ts";
import type { Call, FromWorker, Place, ToWorker } from "./protocol.ts";

/** A worker, or what stands for one. */
export interface Peer {
  post(message: ToWorker): void;
  /** Ends it. */
  close(): void;
}

/** What becomes of a call. */
export interface Receiver {
  begun?(): void;
  item?(item: unknown): void;
  done(value: unknown): void;
  failed(error: unknown): void;
}

type Callback = (...args: readonly unknown[]) => unknown;

interface Running {
  receiver: Receiver;
  signal: AbortSignal | null;
  callbacks: readonly number[];
  /** Aborted when the call ends: nothing hears its signal any more. */
  over: AbortController;
}

export type Asked = Pick<Call, "object" | "path" | "args" | "makes" | "room">;

export class Link {
  readonly #peer: Peer;
  readonly #running = new Map<number, Running>();
  readonly #callbacks = new Map<number, { call: number; run: Callback }>();
  readonly #numbers = new WeakMap<object, number>();
  readonly #stats = new Map<number, EngineStats>();
  /** Objects that the page has let go are let go in the worker. */
  readonly #unused = new FinalizationRegistry<number>((object) => this.release(object));
  #next = 1;
  /** Why nothing can be called any more. */
  #refusal: Error | null = null;
  /** The worker has ended. */
  #gone = false;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  /** A number for an object that a call is to make. */
  number(): number {
    return this.#next++;
  }

  /** `object` stands for what has the number in the worker, and goes there as an argument. */
  hold(object: object, number: number): void {
    this.#numbers.set(object, number);
    this.#unused.register(object, number);
  }

  release(object: number): void {
    this.#stats.delete(object);
    this.#post({ type: "release", object });
  }

  /** Of an engine, as the worker told them last. */
  stats(object: number): EngineStats | undefined {
    return this.#stats.get(object);
  }

  /** Throws why nothing can be called any more. */
  check(): void {
    if (this.#refusal) throw this.#refusal;
  }

  /** Starts a call and returns its number. A failure, also of starting, goes to the receiver. */
  call({ args, ...asked }: Asked, receiver: Receiver): number {
    const call = this.number();
    if (this.#refusal) {
      receiver.failed(this.#refusal);
      return call;
    }
    const { signal, callbacks, ...packed } = this.#pack(call, args);
    const over = new AbortController();
    // What an object was made with may be called for as long as it lives.
    this.#running.set(call, { receiver, signal, callbacks: asked.makes === null ? callbacks : [], over });
    signal?.addEventListener("abort", () => this.#post({ type: "abort", call }), { signal: over.signal });
    try {
      this.#post({ type: "call", call, ...asked, ...packed });
    } catch (cause) {
      const method = asked.path.join(".");
      this.#end(call)?.failed(
        new InputError(
          `worker: ${method}; got an argument with what cannot go to a worker (a function, a proxy), want plain data. Copy it first, or load without worker.`,
          { cause },
        ),
      );
    }
    return call;
  }

  /**
   * Objects, callbacks and signals leave their places: they are looked for in the arguments and in their fields. Options with
   * callbacks take a signal, too: one is given, so that a callback that fails ends the call.
   */
  #pack(call: number, args: readonly unknown[]) {
    const places: Place[] = [];
    let signal: AbortSignal | null = null;
    const take = (value: unknown, arg: number, field: string | null): unknown => {
      const object = value instanceof Object ? this.#numbers.get(value) : undefined;
      if (object !== undefined) places.push({ arg, field, is: "object", object });
      else if (value instanceof AbortSignal)
        places.push({ arg, field, is: "signal", aborted: (signal = value).aborted });
      else if (typeof value === "function" && field?.startsWith("on"))
        places.push({ arg, field, is: "callback", callback: this.#keep(call, value as Callback) });
      else return value;
      return undefined;
    };
    const plain = args.map((value, arg) => {
      const left = take(value, arg, null);
      if (!isPlain(left)) return left;
      const fields = Object.entries(left).map(([field, inner]) => [field, take(inner, arg, field)]);
      const own = places.filter((place) => place.arg === arg);
      if (own.some(({ is }) => is === "callback") && !own.some(({ is }) => is === "signal"))
        places.push({ arg, field: "signal", is: "signal", aborted: false });
      return Object.fromEntries(fields);
    });
    const callbacks = places.flatMap((place) => (place.is === "callback" ? [place.callback] : []));
    return { args: plain, places, signal: signal as AbortSignal | null, callbacks };
  }

  #keep(call: number, run: Callback): number {
    const callback = this.number();
    this.#callbacks.set(callback, { call, run });
    return callback;
  }

  /** Items of a stream have been taken up. */
  more(call: number, count = 1): void {
    if (this.#running.has(call)) this.#post({ type: "more", call, count });
  }

  /** Nobody reads the stream any more. */
  leave(call: number): void {
    if (this.#running.has(call)) this.#post({ type: "leave", call });
  }

  hear(message: FromWorker): void {
    switch (message.type) {
      case "begun":
        return this.#running.get(message.call)?.receiver.begun?.();
      case "item":
        return this.#running.get(message.call)?.receiver.item?.(message.item);
      case "done":
        return this.#end(message.call)?.done(message.value);
      case "failed": {
        const signal = this.#running.get(message.call)?.signal;
        const error = unpackError(message.error, () => signal?.reason);
        return this.#end(message.call)?.failed(error);
      }
      case "callback":
        return void this.#callBack(message);
      case "stats":
        return void this.#stats.set(message.object, message.stats);
    }
  }

  /** What the page's own function throws ends its call, with that error. */
  async #callBack({ callback, run, args }: Extract<FromWorker, { type: "callback" }>): Promise<void> {
    const known = this.#callbacks.get(callback);
    try {
      await known?.run(...args);
      this.#post({ type: "answer", run, error: null });
    } catch (error) {
      this.#post({ type: "answer", run, error: packError(error) });
      this.leave(known!.call);
      this.#end(known!.call)?.failed(error);
    }
  }

  #post(message: ToWorker): void {
    if (!this.#gone) this.#peer.post(message);
  }

  /** The call is over. Returns who hears of it. */
  #end(call: number): Receiver | undefined {
    const running = this.#running.get(call);
    if (!running) return undefined;
    this.#running.delete(call);
    running.over.abort();
    for (const callback of running.callbacks) this.#callbacks.delete(callback);
    if (this.#refusal && this.#running.size === 0) this.#leave();
    return running.receiver;
  }

  /** Refuses calls from now on, and ends the worker once those under way are over. */
  close(refusal: Error): void {
    this.#refusal ??= refusal;
    if (this.#running.size === 0) this.#leave();
  }

  /** The worker is gone: so is every call, now and later. */
  die(error: Error): void {
    if (this.#gone) return;
    this.#refusal ??= error;
    this.#leave();
    for (const call of this.#running.keys()) this.#end(call)?.failed(error);
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#peer.close();
  }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

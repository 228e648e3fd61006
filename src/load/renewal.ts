// When the device is lost: another one, the model on it again, and its engines go on.
import type { EngineEvent } from "../events.ts";
import { DeviceLostError, EngineError, UnsupportedError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";

/** So many losses within so many milliseconds are the last: a fourth device would fare no better. */
const MOST_LOSSES = 3;
const WITHIN_MS = 60_000;

/** Milliseconds within which a browser whose GPU process has died has an adapter again, and pauses between questions: each twice the one before. */
const PATIENCE_MS = 20_000;
const PAUSE_MS = { first: 100, most: 1000 } as const;

/** A model on a device. */
export interface Placed {
  gpu: Pick<Gpu, "whenLost" | "dispose">;
}

/** An engine that goes on with another model `M`. */
export interface Survivor<M> {
  /** Its model, on the device and the weights of `base`: that itself, or another one beside it. */
  remake(base: M): Promise<M>;
  /** Nothing runs until `next` brings the model that it goes on with; none where the engine is gone by then. Rejects: there is none. */
  goOn(next: Promise<M | undefined>): void;
}

export interface Origin<M> {
  /** Loads the model on a new device; nothing is left where that fails. `before`: it was lost with this one. */
  load: (signal: AbortSignal, before: M | null) => Promise<M>;
  onEvent: ((event: EngineEvent) => void) | undefined;
  /** Milliseconds. Default: performance.now. */
  clock?: () => number;
}

/** A load and the engines that came of it: they share a device, and go on together on the next. */
export class Renewal<M extends Placed> {
  readonly #origin: Origin<M>;
  readonly #clock: () => number;
  readonly #engines = new Set<Survivor<M>>();
  /** When devices were lost, the latest last. */
  readonly #times: number[] = [];
  /** Aborted once no engine is left. */
  readonly #left = new AbortController();

  constructor(origin: Origin<M>) {
    this.#origin = origin;
    this.#clock = origin.clock ?? (() => performance.now());
  }

  /** How many devices were lost. */
  get losses(): number {
    return this.#times.length;
  }

  add(engine: Survivor<M>): void {
    this.#engines.add(engine);
  }

  remove(engine: Survivor<M>): void {
    this.#engines.delete(engine);
    if (this.#engines.size === 0) this.#left.abort();
  }

  /** Loads the model for the first time, again where the device is lost meanwhile. */
  async begin(signal: AbortSignal): Promise<M> {
    const made = await this.#outlasting(signal, () => this.#origin.load(signal, null));
    this.#watch(made);
    return made;
  }

  #watch(model: M): void {
    model.gpu.whenLost((error) => this.#renewAll(error, model));
  }

  #renewAll(error: DeviceLostError, before: M): void {
    const renewed = this.#renew(error, before);
    renewed.catch(() => {}); // those who wait for it are told
    for (const engine of this.#engines) engine.goOn(renewed.then((models) => models.get(engine)));
  }

  /** The models that engines go on with. */
  async #renew(error: DeviceLostError, before: M): Promise<Map<Survivor<M>, M>> {
    const { signal } = this.#left;
    const started = this.#clock();
    try {
      this.#note(error);
      const { base, models } = await this.#outlasting(signal, () => this.#remakeAll(before));
      this.#watch(base);
      this.#tell({ type: "device-renewed", milliseconds: this.#clock() - started });
      return models;
    } catch (error) {
      const code = error instanceof EngineError ? error.code : null;
      if (!signal.aborted) this.#tell({ type: "device-failed", code, message: String((error as Error).message) });
      throw error;
    }
  }

  async #remakeAll(before: M): Promise<{ base: M; models: Map<Survivor<M>, M> }> {
    const base = await this.#origin.load(this.#left.signal, before);
    const models = new Map<Survivor<M>, M>();
    const made = new Set([base]);
    try {
      for (const engine of this.#engines) {
        const model = await engine.remake(base);
        models.set(engine, model);
        made.add(model);
      }
    } catch (error) {
      for (const { gpu } of made) gpu.dispose();
      throw error;
    }
    if (![...models.values()].includes(base)) base.gpu.dispose(); // its engine is gone; others read its weights
    return { base, models };
  }

  /** Does `work` on one device after the other, until one lasts. */
  async #outlasting<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    while (true) {
      try {
        return await this.#patiently(signal, work);
      } catch (error) {
        if (!(error instanceof DeviceLostError)) throw error;
        this.#note(error);
      }
    }
  }

  /** After a loss there may be no adapter for a while. */
  async #patiently<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const until = this.#clock() + (this.losses > 0 ? PATIENCE_MS : 0);
    for (let pause: number = PAUSE_MS.first; ; pause = Math.min(2 * pause, PAUSE_MS.most)) {
      signal.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        const isMissing = error instanceof UnsupportedError && error.code === "no-adapter";
        if (!isMissing || this.#clock() + pause > until) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Throws DeviceLostError where devices are lost too often. */
  #note({ message }: DeviceLostError): void {
    const now = this.#clock();
    this.#times.push(now);
    this.#tell({ type: "device-lost", losses: this.losses, message });
    const recent = this.#times.filter((time) => now - time < WITHIN_MS).length;
    if (recent >= MOST_LOSSES)
      throw new DeviceLostError(
        `GPU: got ${recent} devices lost within a minute, want one that lasts; the last: ${message}`,
      );
  }

  /** What the caller's function throws is its own trouble. */
  #tell(event: EngineEvent): void {
    queueMicrotask(() => this.#origin.onEvent?.(event));
  }
}

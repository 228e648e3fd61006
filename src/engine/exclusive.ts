// Work that needs the model for itself, in its turn.

/** Asked of work that waits. */
export interface Waiting {
  /** An abort takes it out of the line; once it runs, it looks at the signal itself. */
  signal?: AbortSignal | undefined;
  /** Where the device is lost under it, it is done again from the beginning on the next one. Else it fails. */
  outlasts: boolean;
}

interface Entry {
  arrival: number;
  run: () => Promise<void>;
  fail: (error: unknown) => void;
}

export class ExclusiveWork {
  readonly #line: Entry[] = [];
  readonly #isLost: () => boolean;
  readonly #onLeave: () => void;

  /** `isLost`: the device is gone, and another one is on its way. `onLeave` is called as an abort takes work out of the line. */
  constructor(isLost: () => boolean, onLeave: () => void) {
    this.#isLost = isLost;
    this.#onLeave = onLeave;
  }

  /** When the next in the line came. */
  get arrival(): number | undefined {
    return this.#line[0]?.arrival;
  }

  /** Runs the next in the line. */
  run(): Promise<void> {
    return this.#line.shift()!.run();
  }

  /** Resolves with what `work` does, once it has been run. */
  add<T>(arrival: number, work: () => Promise<T>, { signal, outlasts }: Waiting): Promise<T> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const end = () => signal?.removeEventListener("abort", leave);
      const fail = (error: unknown) => {
        end();
        reject(error);
      };
      const run = async () => {
        try {
          resolve(await work());
          end();
        } catch (error) {
          if (outlasts && this.#isLost() && !signal?.aborted) this.#line.unshift(entry);
          else fail(error);
        }
      };
      const entry: Entry = { arrival, run, fail };
      const leave = () => {
        const at = this.#line.indexOf(entry);
        if (at < 0) return;
        this.#line.splice(at, 1);
        fail(signal!.reason);
        this.#onLeave();
      };
      signal?.addEventListener("abort", leave);
      this.#line.push(entry);
    });
  }

  failAll(error: unknown): void {
    for (const { fail } of this.#line.splice(0)) fail(error);
  }
}

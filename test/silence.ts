// A limit on silence in place of one on whole tests: a slow machine takes its time, a hung one says nothing.

export class Silence {
  readonly #limitMs: number;
  #heardAt = 0;
  #last = "";

  constructor(limitMs = 60_000) {
    this.#limitMs = limitMs;
  }

  /** Something has got on. */
  heard(what: string): void {
    this.#heardAt = performance.now();
    this.#last = what;
  }

  /** What `work` gives, or an error once the limit has passed in which nothing was heard. */
  async guard<T>(what: string, work: Promise<T>): Promise<T> {
    this.heard("it began");
    let timer: NodeJS.Timeout | undefined;
    const silent = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        const ms = performance.now() - this.#heardAt;
        if (ms < this.#limitMs) return;
        reject(new Error(`${what}: no progress for ${Math.round(ms / 1000)} s; the last was: ${this.#last}`));
      }, this.#limitMs / 60);
    });
    try {
      return await Promise.race([work, silent]);
    } finally {
      clearInterval(timer);
    }
  }
}

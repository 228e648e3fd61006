// A limit on silence in place of one on whole tests: a slow machine takes its time, a hung one says nothing.

const LIMIT_SECONDS = 60;

export class Silence {
  #heardAt = 0;
  #last = "";

  /** Something has got on. */
  heard(what: string): void {
    this.#heardAt = performance.now();
    this.#last = what;
  }

  /** What `work` gives, or an error once a minute has passed in which nothing was heard. */
  async guard<T>(what: string, work: Promise<T>): Promise<T> {
    this.heard("it began");
    let timer: NodeJS.Timeout | undefined;
    const silent = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        const seconds = Math.round((performance.now() - this.#heardAt) / 1000);
        if (seconds < LIMIT_SECONDS) return;
        reject(new Error(`${what}: no progress for ${seconds} s; the last was: ${this.#last}`));
      }, 1000);
    });
    try {
      return await Promise.race([work, silent]);
    } finally {
      clearInterval(timer);
    }
  }
}

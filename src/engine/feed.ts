// A list that is read while it grows, by any number of readers, each from the first item.
export class Feed<T> implements AsyncIterable<T> {
  readonly items: T[] = [];
  #ended = false;
  #error: unknown = null;
  #wakes: (() => void)[] = [];

  push(item: T): void {
    this.items.push(item);
    this.#wake();
  }

  /** Nothing follows. With an error, readers meet it after the last item. */
  end(error: unknown = null): void {
    this.#ended = true;
    this.#error = error;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    let seen = 0;
    while (true) {
      while (seen < this.items.length) yield this.items[seen++]!;
      if (this.#ended) break;
      await new Promise<void>((resolve) => this.#wakes.push(resolve));
    }
    if (this.#error !== null) throw this.#error;
  }
}

// Replies that were cut and may go on: what each holds apart from the tree stays under the number that its sequence had, until
// another prompt comes or its room is needed.

/** What can be given back: a residence. */
export interface Rested {
  dispose(number: number): void;
  /** Tokens of a text that it can go on after; 0: none. */
  goesOn(text: readonly number[]): number;
}

export class Parked {
  /** By number, oldest first. */
  readonly #rested = new Map<number, Rested>();
  /** A reply is waiting to go on from these. */
  readonly #claimed = new WeakSet<Rested>();

  get numbers(): number[] {
    return [...this.#rested.keys()];
  }

  numberOf(rested: Rested): number | null {
    for (const [number, each] of this.#rested) if (each === rested) return number;
    return null;
  }

  /** The one that a text can go on from after most of its tokens, for one reply; null where there is none. */
  claimFor(text: readonly number[]): Rested | null {
    const free = [...this.#rested.values()].filter((rested) => !this.#claimed.has(rested) && rested.goesOn(text) > 0);
    const best = free.reduce<Rested | null>((a, b) => (a && a.goesOn(text) >= b.goesOn(text) ? a : b), null);
    if (best) this.#claimed.add(best);
    return best;
  }

  put(number: number, rested: Rested): void {
    this.#claimed.delete(rested);
    this.#rested.set(number, rested);
  }

  /** For one reply that will go on from it; false where it has gone, or another one will. */
  claim(rested: Rested): boolean {
    if (this.numberOf(rested) === null || this.#claimed.has(rested)) return false;
    this.#claimed.add(rested);
    return true;
  }

  /** Takes it out; returns its number, null where it has gone. */
  take(rested: Rested): number | null {
    const number = this.numberOf(rested);
    if (number !== null) this.#rested.delete(number);
    return number;
  }

  /** Gives it back, where it is still there. */
  drop(rested: Rested): void {
    const number = this.take(rested);
    if (number !== null) rested.dispose(number);
  }

  /** Gives back the oldest but `except`; false where there is none. */
  dropOldest(except: Rested | null = null): boolean {
    for (const rested of this.#rested.values()) {
      if (rested === except) continue;
      this.drop(rested);
      return true;
    }
    return false;
  }

  clear(except: Rested | null = null): void {
    while (this.dropOldest(except));
  }
}

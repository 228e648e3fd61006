// Byte-pair encoding's loop: of all neighbours that may be joined, the pair of the lowest rank is, leftmost among equals.

/** Which symbols may be joined. */
export interface Pairs {
  /** The lower the earlier; a whole number, or undefined if the two stay apart. */
  rank(left: number, right: number): number | undefined;
  joined(left: number, right: number): number;
}

/** Room for positions in a heap's key: rank · PLACES + position, exact as long as it is below 2⁵³. */
const PLACES = 2 ** 28;
const NONE = -1;

/** The symbols that are left of `symbols` when no pair can be joined any more. O(n log n). */
export function mergeAll(symbols: readonly number[], pairs: Pairs): number[] {
  if (symbols.length < 2) return [...symbols];
  const word = new LinkedWord(symbols);
  const heap = new Heap();
  const offer = (place: number): void => {
    const next = place === NONE ? NONE : word.next[place]!;
    const rank = next === NONE ? undefined : pairs.rank(word.symbol[place]!, word.symbol[next]!);
    if (rank !== undefined) heap.push(rank * PLACES + place);
  };
  for (let place = 0; place < symbols.length; place++) offer(place);
  for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
    const place = key % PLACES;
    const [left, right] = word.pairAt(place);
    // What stood here when the pair was offered may have been joined otherwise since.
    if (right === NONE || pairs.rank(left, right) !== (key - place) / PLACES) continue;
    word.join(place, pairs.joined(left, right));
    offer(word.before[place]!);
    offer(place);
  }
  return word.symbols();
}

/** A list of symbols, from which one can be taken in constant time. */
class LinkedWord {
  /** NONE where a symbol has been joined to the one before. */
  readonly symbol: Int32Array;
  readonly next: Int32Array;
  readonly before: Int32Array;

  constructor(symbols: readonly number[]) {
    this.symbol = Int32Array.from(symbols);
    this.next = Int32Array.from(symbols, (_, place) => (place + 1 < symbols.length ? place + 1 : NONE));
    this.before = Int32Array.from(symbols, (_, place) => place - 1);
  }

  /** NONE, NONE where nothing stands any more, or nothing follows. */
  pairAt(place: number): [left: number, right: number] {
    const next = this.next[place]!;
    return this.symbol[place] === NONE || next === NONE ? [NONE, NONE] : [this.symbol[place]!, this.symbol[next]!];
  }

  /** Puts `symbol` in the place of the one there and the next. */
  join(place: number, symbol: number): void {
    const gone = this.next[place]!;
    const after = this.next[gone]!;
    this.symbol[place] = symbol;
    this.symbol[gone] = NONE;
    this.next[place] = after;
    if (after !== NONE) this.before[after] = place;
  }

  symbols(): number[] {
    const result: number[] = [];
    for (let place = 0; place !== NONE; place = this.next[place]!) result.push(this.symbol[place]!);
    return result;
  }
}

/** A binary heap of numbers, smallest first. */
class Heap {
  private readonly keys: number[] = [];

  push(key: number): void {
    const { keys } = this;
    let at = keys.length;
    for (let parent = (at - 1) >> 1; at > 0 && keys[parent]! > key; parent = (at - 1) >> 1) {
      keys[at] = keys[parent]!;
      at = parent;
    }
    keys[at] = key;
  }

  pop(): number | undefined {
    const { keys } = this;
    const top = keys[0];
    const last = keys.pop();
    if (last !== undefined && keys.length > 0) this.sink(last);
    return top;
  }

  /** Puts `key` at the top and lets it down to its place. */
  private sink(key: number): void {
    const { keys } = this;
    let at = 0;
    for (let child = 1; child < keys.length; child = 2 * at + 1) {
      if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= key) break;
      keys[at] = keys[child]!;
      at = child;
    }
    keys[at] = key;
  }
}

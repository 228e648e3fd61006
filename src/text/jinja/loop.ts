// `loop`: what a loop tells its body.
import { equal } from "./operators.ts";
import { type Call, Callable, Thing, Undefined, type Value, fail } from "./values.ts";

const NONE_BEFORE = new Undefined("there is no previous item");
const NONE_AFTER = new Undefined("there is no next item");

/** Items are fetched as they are needed: a condition of the loop sees what its body has done. */
export class Loop {
  readonly #source: Iterator<Value>;
  readonly #depth: number;
  /** Items that were looked at and not yet run. */
  readonly #ahead: Value[] = [];
  #previous: Value = NONE_BEFORE;
  #current: Value = NONE_BEFORE;
  /** Of the current item, from 0; −1 before the first. */
  #index = -1;
  #seen: readonly Value[] | null = null;
  readonly value: Thing;

  /** `again`: runs the loop over other items, inside this one; null where the loop is not recursive. `depth`: from 0. */
  constructor(source: Iterator<Value>, depth: number, again: ((items: Value) => Value) | null) {
    this.#source = source;
    this.#depth = depth;
    this.value = new Thing(
      "LoopContext",
      (name) => this.#attribute(name),
      again && (({ positional }) => callOnce(again, positional)),
    );
  }

  /** The next item; undefined after the last. */
  advance(): Value | undefined {
    if (!this.#look()) return undefined;
    this.#previous = this.#current;
    this.#current = this.#ahead.shift()!;
    this.#index++;
    return this.#current;
  }

  #look(): boolean {
    if (this.#ahead.length > 0) return true;
    const next = this.#source.next();
    if (!next.done) this.#ahead.push(next.value);
    return !next.done;
  }

  #length(): number {
    for (let next = this.#source.next(); !next.done; next = this.#source.next()) this.#ahead.push(next.value);
    return this.#index + 1 + this.#ahead.length;
  }

  readonly #attributes: Readonly<Record<string, () => Value>> = {
    index: () => BigInt(this.#index + 1),
    index0: () => BigInt(this.#index),
    revindex: () => BigInt(this.#length() - this.#index),
    revindex0: () => BigInt(this.#length() - this.#index - 1),
    first: () => this.#index === 0,
    last: () => !this.#look(),
    length: () => BigInt(this.#length()),
    depth: () => BigInt(this.#depth + 1),
    depth0: () => BigInt(this.#depth),
    previtem: () => this.#previous,
    nextitem: () => (this.#look() ? this.#ahead[0]! : NONE_AFTER),
    cycle: () => new Callable("cycle", (call) => this.#cycle(call)),
    changed: () => new Callable("changed", ({ positional }) => this.#changed(positional)),
  };

  #attribute(name: string): Value | undefined {
    return Object.hasOwn(this.#attributes, name) ? this.#attributes[name]!() : undefined;
  }

  #cycle({ positional }: Call): Value {
    return positional.length > 0 ? positional[this.#index % positional.length]! : fail("loop.cycle(): no items");
  }

  #changed(values: readonly Value[]): boolean {
    const isSame = this.#seen !== null && equal(this.#seen, values);
    this.#seen = values;
    return !isSame;
  }
}

const callOnce = (again: (items: Value) => Value, positional: readonly Value[]): Value =>
  positional.length === 1 ? again(positional[0]!) : fail("loop(): want one argument");

// The metadata of a GGUF by key.
import { ModelError, UnsupportedError } from "../../errors.ts";
import { quote } from "../files/bytes.ts";

/** Typed access to metadata: a wrong type is a ModelError naming the key. */
export class Keys {
  readonly name: string;
  readonly #metadata: ReadonlyMap<string, unknown>;

  constructor(metadata: ReadonlyMap<string, unknown>, name: string) {
    this.#metadata = metadata;
    this.name = name;
  }

  fail(key: string, got: unknown, want: string): never {
    throw new ModelError(`${this.name}: ${key}; got ${quote(got)}, want ${want}.`);
  }

  text(key: string): string | undefined {
    const value = this.#metadata.get(key);
    return value === undefined || typeof value === "string" ? value : this.fail(key, value, "a string");
  }

  real(key: string): number | undefined {
    const value = this.#metadata.get(key);
    if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
    return this.fail(key, value, "a finite number");
  }

  /** A whole number from 0; given once per layer, it must be the same for all. */
  count(key: string): number | undefined {
    const found = this.#metadata.get(key);
    const value: unknown = Array.isArray(found) ? found[0] : found;
    if (Array.isArray(found) && found.some((other) => other !== value)) {
      throw new UnsupportedError(`${this.name}: ${key} differs by layer; got ${quote(found)}, want one value.`);
    }
    if (found === undefined) return undefined;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    return this.fail(key, found, "a whole number");
  }

  /** A whole number from 1 that must be there. */
  size(key: string): number {
    const value = this.count(key);
    return value === undefined || value < 1 ? this.fail(key, value, "a whole number above 0") : value;
  }
}

// Typed access to config.json; every complaint names the field.
import { ModelError } from "../errors.ts";

export type Json = Readonly<Record<string, unknown>>;

export class Reader {
  readonly #json: Json;
  readonly #path: string;

  constructor(json: Json, path = "") {
    this.#json = json;
    this.#path = path;
  }

  #bad(name: string, want: string): never {
    throw new ModelError(
      `config.json: ${this.#path}${name}; got ${JSON.stringify(this.#json[name])}, want ${want}. Is the file complete and from this checkpoint?`,
    );
  }

  /** The same with `fields` where the file has none of the name. */
  withDefaults(fields: Json): Reader {
    return new Reader({ ...fields, ...this.#json }, this.#path);
  }

  has(name: string): boolean {
    return this.#json[name] !== undefined && this.#json[name] !== null;
  }

  /** A finite number, or `fallback` where the field is absent. */
  number(name: string, fallback?: number): number {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value)) this.#bad(name, "a number");
    return value;
  }

  /** A positive finite number, or `fallback` where the field is absent. */
  positive(name: string, fallback?: number): number {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) this.#bad(name, "a positive number");
    return value;
  }

  count(name: string, most: number, fallback?: number): number {
    const value = this.positive(name, fallback);
    if (!Number.isInteger(value) || value > most) this.#bad(name, `a whole number from 1 to ${most}`);
    return value;
  }

  /** A whole number, 0 included. */
  whole(name: string, fallback: number): number {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0) this.#bad(name, "a whole number");
    return value;
  }

  flag(name: string, fallback = false): boolean {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "boolean") this.#bad(name, "true or false");
    return value;
  }

  text(name: string, fallback: string): string {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "string") this.#bad(name, "a string");
    return value;
  }

  /** All strings in a field, at any depth. */
  texts(name: string): string[] {
    return textsIn(this.#json[name]);
  }

  list(name: string): readonly unknown[] {
    const value = this.#json[name] ?? [];
    if (!Array.isArray(value)) this.#bad(name, "a list");
    return value;
  }

  /** `length` positive numbers. */
  positives(name: string, length: number): readonly number[] {
    const values = this.list(name);
    if (values.length !== length || values.some((value) => typeof value !== "number" || !(value > 0)))
      this.#bad(name, `${length} positive numbers`);
    return values as readonly number[];
  }

  object(name: string): Reader {
    const value = this.#json[name] ?? {};
    if (typeof value !== "object" || Array.isArray(value)) this.#bad(name, "an object");
    return new Reader(value as Json, `${this.#path}${name}.`);
  }
}

const textsIn = (value: unknown): string[] =>
  typeof value === "string" ? [value] : Object.values(value ?? {}).flatMap(textsIn);

// The header of a GGUF file, version 3: metadata and where each tensor lies.
import type { TensorType } from "../../src/tensor.ts";

/** Text, a whole number below 2^32, or texts. */
export type HeaderValue = string | number | readonly string[];

export interface HeaderTensor {
  name: string;
  type: TensorType;
  /** Outermost first. */
  shape: readonly number[];
  bytes: number;
}

export interface Header {
  bytes: Uint8Array<ArrayBuffer>;
  /** Where tensors begin in the file. */
  dataStart: number;
  /** Of each tensor, from there. */
  places: readonly { tensor: HeaderTensor; offset: number; bytes: number }[];
}

/** ggml's numbers of the types that are written. */
const TYPE_IDS: Partial<Record<TensorType, number>> = { F32: 0, Q4_0: 2, Q8_0: 8 };
const [UINT32, STRING, ARRAY] = [4, 8, 9];
const ALIGNMENT = 32;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

export function ggufHeader(metadata: Readonly<Record<string, HeaderValue>>, tensors: readonly HeaderTensor[]): Header {
  const writer = new Writer();
  const keys = Object.entries(metadata);
  writer.text("GGUF").u32(3).u64(tensors.length).u64(keys.length);
  for (const [key, value] of keys) writer.string(key).value(value);
  let offset = 0;
  const places = tensors.map((tensor) => {
    const { name, type, shape, bytes } = tensor;
    writer.string(name).u32(shape.length);
    for (const size of shape.toReversed()) writer.u64(size);
    writer.u32(TYPE_IDS[type]!).u64(offset);
    const place = { tensor, offset, bytes };
    offset += aligned(bytes);
    return place;
  });
  const bytes = writer.done();
  return { bytes, dataStart: aligned(bytes.length), places };
}

/** Appends little-endian numbers and texts. */
class Writer {
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];

  text(text: string): this {
    this.#parts.push(new TextEncoder().encode(text));
    return this;
  }

  u32(value: number): this {
    this.#parts.push(new Uint8Array(Uint32Array.of(value).buffer));
    return this;
  }

  u64(value: number): this {
    this.#parts.push(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
    return this;
  }

  string(text: string): this {
    return this.u64(new TextEncoder().encode(text).length).text(text);
  }

  value(value: HeaderValue): this {
    if (typeof value === "number") return this.u32(UINT32).u32(value);
    if (typeof value === "string") return this.u32(STRING).string(value);
    this.u32(ARRAY).u32(STRING).u64(value.length);
    for (const each of value) this.string(each);
    return this;
  }

  done(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

// GGUF: metadata, tensor descriptions, padding, tensors. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
// The header is read in pieces, since the vocabulary makes it several MB long and its length stands nowhere.

import { alignUp, ModelError, UnsupportedError } from "../../errors.ts";
import { quote } from "../files/bytes.ts";
import type { ByteFile } from "../files/bytes.ts";
import { TENSOR_BLOCKS, type TensorType } from "../../tensor.ts";
import { elementCount } from "./tensor.ts";

/** Largest header, string and number of array elements in all: ten times what any model has, and still harmless. */
const maxHeaderBytes = 256 * 2 ** 20;
const maxStringBytes = 16 * 2 ** 20;
const maxArrayElements = 2 ** 23;
const maxArrayDepth = 4;
/** Bytes per request to the file while the header is read. */
const chunkBytes = 2 ** 20;
/** Asked of a server beyond what is read at once: most headers whole. */
const aheadBytes = 4 * 2 ** 20;

const tensorTypes: ReadonlyMap<number, TensorType> = new Map([
  [0, "F32"],
  [1, "F16"],
  [2, "Q4_0"],
  [3, "Q4_1"],
  [6, "Q5_0"],
  [7, "Q5_1"],
  [8, "Q8_0"],
  [10, "Q2_K"],
  [11, "Q3_K"],
  [12, "Q4_K"],
  [13, "Q5_K"],
  [14, "Q6_K"],
  [20, "IQ4_NL"],
  [23, "IQ4_XS"],
  [30, "BF16"],
  [39, "MXFP4"],
]);

/** Without a kernel. */
const otherTypes: ReadonlyMap<number, string> = new Map([
  [9, "Q8_1"],
  [15, "Q8_K"],
  [16, "IQ2_XXS"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [24, "I8"],
  [25, "I16"],
  [26, "I32"],
  [27, "I64"],
  [28, "F64"],
  [29, "IQ1_M"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [40, "NVFP4"],
]);

/** What a GGUF's tensors may be in. */
export const KNOWN_TYPES: readonly TensorType[] = [...tensorTypes.values()];

/** A tensor as the file describes it. */
export interface GgufTensor {
  /** ggml's name, e.g. blk.0.attn_q.weight. */
  name: string;
  /** Row-major, outermost first: the file's order reversed. */
  shape: number[];
  type: TensorType;
  byteLength: number;
  file: ByteFile;
  /** From the start of the file. */
  offset: number;
}

export interface Gguf {
  /** Numbers (64-bit ones rounded), booleans, strings and arrays of these. */
  metadata: ReadonlyMap<string, unknown>;
  /** In file order. */
  tensors: readonly GgufTensor[];
  /** Types, by name, of the tensors whose type has no kernel. */
  others: ReadonlyMap<string, string>;
}

/**
 * Reads everything but the tensors. Throws UnsupportedError for big-endian files and unknown versions, ModelError for
 * everything that contradicts itself or the file's size.
 */
export async function readGguf(file: ByteFile, signal?: AbortSignal): Promise<Gguf> {
  const header = new Header(file, signal);
  await readMagic(header);
  const tensorCount = await header.count("tensor count", 24);
  const metadataCount = await header.count("metadata count", 13);
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < metadataCount; i++) {
    const key = await header.string("a metadata key");
    if (metadata.has(key)) header.fail(`metadata ${quote(key)} appears twice`, "two", "one");
    metadata.set(key, await header.value(await header.u32(), quote(key), 0));
  }
  const described: Described[] = [];
  for (let i = 0; i < tensorCount; i++) described.push(await describe(header));
  const dataStart = alignUp(header.position, alignmentOf(metadata, header));
  const placed = place(described, dataStart, metadata, header);
  return {
    metadata,
    tensors: placed.flatMap(({ type, ...tensor }) => (typeof type === "number" ? [] : [{ ...tensor, type, file }])),
    others: new Map(placed.flatMap(({ name, type }) => (typeof type === "number" ? [[name, nameOfType(type)]] : []))),
  };
}

async function readMagic(header: Header): Promise<void> {
  const magic = await header.u32();
  if (magic !== 0x46554747) {
    header.fail(
      "not a GGUF file",
      `first bytes 0x${magic.toString(16)}`,
      "GGUF. Is it an HTML page or a pointer file?",
    );
  }
  const version = await header.u32();
  if (version === 2 || version === 3) return;
  const bigEndian = version !== 0 && version % 65536 === 0;
  throw new UnsupportedError(
    `${header.name}: ${bigEndian ? "big-endian GGUF" : "unknown GGUF version"}; got version 0x${version.toString(16)}, want 2 or 3, little-endian. Convert the model again.`,
  );
}

/**
 * A tensor before its place is known to be right; `offset` counts from the start of the data. A type without a kernel is
 * its number, and takes no known bytes.
 */
interface Described extends Omit<GgufTensor, "file" | "type"> {
  type: TensorType | number;
}

const nameOfType = (id: number): string => otherTypes.get(id) ?? `type ${id}`;

async function describe(header: Header): Promise<Described> {
  const name = await header.string("a tensor name");
  const dimensions = await header.u32();
  if (dimensions < 1 || dimensions > 4) header.fail(`tensor ${quote(name)}: dimensions`, dimensions, "1 to 4");
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(await header.u64());
  if (!(elementCount(shape) > 0))
    header.fail(`tensor ${quote(name)}: impossible shape`, quote(shape), "counts above 0");
  const typeId = await header.u32();
  const type = tensorTypes.get(typeId) ?? typeId;
  const byteLength = typeof type === "number" ? 0 : bytesOf(type, shape, name, header);
  return { name, shape, type, byteLength, offset: await header.u64() };
}

function bytesOf(type: TensorType, shape: readonly number[], name: string, header: Header): number {
  const { elements, bytes } = TENSOR_BLOCKS[type];
  if (shape.at(-1)! % elements !== 0)
    header.fail(`tensor ${quote(name)}: row length`, shape.at(-1), `a multiple of ${elements} for ${type}`);
  return (elementCount(shape) / elements) * bytes;
}

function alignmentOf(metadata: ReadonlyMap<string, unknown>, header: Header): number {
  const alignment = metadata.get("general.alignment") ?? 32;
  const good =
    typeof alignment === "number" && alignment >= 1 && alignment <= 2 ** 20 && Number.isInteger(Math.log2(alignment));
  return good ? alignment : header.fail("general.alignment", quote(alignment), "a power of two up to 2^20");
}

/** Absolute offsets in file order; no tensor outside the file, none over another, none twice. */
function place(
  described: readonly Described[],
  dataStart: number,
  metadata: ReadonlyMap<string, unknown>,
  header: Header,
): Described[] {
  const alignment = alignmentOf(metadata, header);
  const sorted = described.toSorted((a, b) => a.offset - b.offset);
  const names = new Set<string>();
  let free = 0;
  return sorted.map(({ name, shape, type, byteLength, offset }) => {
    const fail = (what: string, got: unknown, want: unknown) =>
      header.fail(`tensor ${quote(name)}: ${what}`, got, want);
    if (names.has(name)) fail("name appears twice", "two", "one");
    if (offset % alignment !== 0) fail("unaligned offset", offset, `a multiple of ${alignment}`);
    if (offset < free) fail("overlaps the one before", `offset ${offset}`, `at least ${free}`);
    if (dataStart + offset + byteLength > header.fileBytes) {
      fail("ends behind the file", dataStart + offset + byteLength, `at most ${header.fileBytes}. Download it again`);
    }
    names.add(name);
    free = offset + byteLength;
    return { name, shape, type, byteLength, offset: dataStart + offset };
  });
}

/** Size of a fixed-size value by type id; 8 is string, 9 is array. */
const valueBytes: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const stringType = 8;
const arrayType = 9;

/**
 * A forward cursor over the header. Holds about one chunk of it. Every count is compared with the bytes that are left
 * before anything of that size is allocated.
 */
class Header {
  readonly name: string;
  readonly fileBytes: number;
  readonly #file: ByteFile;
  readonly #signal: AbortSignal | undefined;
  /** A byte order mark is a token like any other. */
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  /** Offset of #bytes[0] in the file, and of the cursor in #bytes. */
  #base = 0;
  #at = 0;
  #elementsLeft = maxArrayElements;

  constructor(file: ByteFile, signal: AbortSignal | undefined) {
    this.#file = file;
    this.#signal = signal;
    this.name = file.name;
    this.fileBytes = file.size;
  }

  get position(): number {
    return this.#base + this.#at;
  }

  fail(what: string, got: unknown, want: unknown): never {
    throw new ModelError(`${this.name}: ${what}; got ${String(got)}, want ${String(want)}.`);
  }

  async u32(): Promise<number> {
    await this.#need(4);
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  /** A 64-bit count or offset; those above 2^53 are damage. */
  async u64(): Promise<number> {
    await this.#need(8);
    this.#at += 8;
    const value = Number(this.#view.getBigUint64(this.#at - 8, true));
    return Number.isSafeInteger(value) ? value : this.fail(`number at byte ${this.position - 8}`, value, "below 2^53");
  }

  /** The number of things that follow, each at least `leastBytes` long. */
  async count(what: string, leastBytes: number): Promise<number> {
    const count = await this.u64();
    const most = Math.floor((Math.min(this.fileBytes, maxHeaderBytes) - this.position) / leastBytes);
    return count <= most ? count : this.fail(what, count, `at most ${most}, what fits in the file`);
  }

  async string(what: string): Promise<string> {
    const length = await this.count(`length of ${what}`, 1);
    if (length > maxStringBytes) this.fail(`length of ${what}`, length, `at most ${maxStringBytes}`);
    await this.#need(length);
    this.#at += length;
    return this.#decoder.decode(this.#bytes.subarray(this.#at - length, this.#at));
  }

  async value(type: number, key: string, depth: number): Promise<unknown> {
    if (type === stringType) return this.string(key);
    if (type === arrayType) return this.#array(key, depth);
    await this.#need(this.#bytesOf(type, key));
    return this.#scalar(type);
  }

  #bytesOf(type: number, key: string): number {
    return valueBytes[type] ?? this.fail(`metadata ${key}: value type`, type, "0 to 12");
  }

  async #array(key: string, depth: number): Promise<unknown[]> {
    if (depth === maxArrayDepth) this.fail(`metadata ${key}: arrays inside arrays`, depth + 1, `at most ${depth}`);
    const type = await this.u32();
    const leastBytes = type === stringType ? 8 : type === arrayType ? 12 : this.#bytesOf(type, key);
    const count = await this.count(`metadata ${key}: array length`, leastBytes);
    this.#elementsLeft -= count;
    if (this.#elementsLeft < 0) this.fail(`metadata ${key}: array length`, count, `${maxArrayElements} in all`);
    const values: unknown[] = [];
    for (let i = 0; i < count; i++) {
      // Without awaiting where the bytes are here already: vocabularies have 10^5 entries.
      values.push(this.#buffered(type) ?? (await this.value(type, key, depth + 1)));
    }
    return values;
  }

  /** A scalar or string that lies wholly in #bytes; undefined for any other. */
  #buffered(type: number): number | boolean | string | undefined {
    const left = this.#bytes.length - this.#at;
    if (type !== stringType) return type !== arrayType && left >= 8 ? this.#scalar(type) : undefined;
    if (left < 8) return undefined;
    const end = this.#at + 8 + Number(this.#view.getBigUint64(this.#at, true));
    if (end > this.#bytes.length) return undefined;
    const bytes = this.#bytes.subarray(this.#at + 8, end);
    this.#at = end;
    return this.#decoder.decode(bytes);
  }

  /** A fixed-size value whose bytes are in #bytes. */
  #scalar(type: number): number | boolean {
    const at = this.#at;
    this.#at += valueBytes[type]!;
    switch (type) {
      case 0:
        return this.#view.getUint8(at);
      case 1:
        return this.#view.getInt8(at);
      case 2:
        return this.#view.getUint16(at, true);
      case 3:
        return this.#view.getInt16(at, true);
      case 4:
        return this.#view.getUint32(at, true);
      case 5:
        return this.#view.getInt32(at, true);
      case 6:
        return this.#view.getFloat32(at, true);
      case 7:
        return this.#view.getUint8(at) !== 0;
      case 10:
        return Number(this.#view.getBigUint64(at, true));
      case 11:
        return Number(this.#view.getBigInt64(at, true));
      default:
        return this.#view.getFloat64(at, true);
    }
  }

  /** Makes `count` bytes from the cursor available. */
  async #need(count: number): Promise<void> {
    const tail = this.#bytes.subarray(this.#at);
    if (tail.length >= count) return;
    const end = this.#base + this.#bytes.length;
    const wanted = Math.min(this.fileBytes - end, Math.max(count - tail.length, chunkBytes));
    if (tail.length + wanted < count || this.position + count > maxHeaderBytes) {
      this.fail(
        `header ends early at byte ${this.position}`,
        `${tail.length + wanted} bytes`,
        `${count}. Download it again`,
      );
    }
    const until = end + wanted + aheadBytes;
    const more = await this.#file.read(end, wanted, { signal: this.#signal, until });
    const joined = new Uint8Array(tail.length + wanted);
    joined.set(tail);
    joined.set(more, tail.length);
    this.#base = this.position;
    this.#at = 0;
    this.#bytes = joined;
    this.#view = new DataView(joined.buffer);
  }
}

// Tensors of a checkpoint -> matrices on the GPU. One tensor at a time passes through JavaScript, as raw bytes; the GPU
// turns it into the form its kernels read.
import type { WeightFormat } from "../../api.ts";
import { alignUp, assert, ModelError, UnsupportedError } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { Program } from "../../gpu/program.ts";
import type { TensorInfo, TensorType } from "../../tensor.ts";
import type { HeadForm } from "./heads.ts";
import {
  bitsOf,
  emptyMatrix,
  groupOf,
  isFloat,
  type Matrix,
  packer,
  type PieceRange,
  piecesOf,
  rawBytes,
  type Vector,
} from "./matrix.ts";

/** Where tensors come from: a checkpoint, or a test. */
export interface TensorSource {
  tensors: ReadonlyMap<string, TensorInfo>;
  /** Types of tensors that are there and cannot be loaded, by name. */
  others?: ReadonlyMap<string, string>;
  read(name: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
}

/** How columns of a tensor are placed: one after another, or as gate (1) and up (2) of an interleaved pair. */
type ColumnMode = 0 | 1 | 2;

/** Where a tensor goes in a matrix. */
interface Placement {
  tensor: TensorInfo;
  columnOffset: number;
  columnMode: ColumnMode;
  /** Its rows are heads. */
  heads?: HeadForm | undefined;
}

/** Rows of a matrix that come from one tensor. */
export interface MatrixPart {
  name: string;
  /** Rows of the tensor. */
  rows: number;
  /** Its rows are heads, laid out in this form. */
  heads?: HeadForm;
  /** In the file, where that is not [rows, depth]. */
  shape?: readonly number[];
}

/** Values of a vector that come from one tensor. */
export interface VectorPart {
  name: string;
  /** Values of the tensor. */
  length: number;
  /** What is kept of them, `kept` values. Default: all, as they are. */
  as?: (values: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer>;
  kept?: number;
  /** In the file, where that is not [length]. */
  shape?: readonly number[];
}

/** Raw bytes uploaded at once: bounds the staging buffer, whatever the tensor's size. */
const SLICE_BYTES = 32 * 2 ** 20;
/** Uploads under way at once. */
const QUEUED_BYTES = 64 * 2 ** 20;

/** Collects what a model needs, then loads it in file order. */
export class WeightLoader {
  readonly #gpu: Gpu;
  readonly #source: TensorSource;
  readonly #format: WeightFormat;
  /** What to do with each tensor once its bytes are here. */
  readonly #jobs = new Map<string, ((bytes: Uint8Array<ArrayBuffer>) => Promise<void>)[]>();
  #staging: GPUBuffer | null = null;
  /** Bytes uploaded since the GPU was last waited for. */
  #queued = 0;
  #stagingBytes = 0;
  /** Number of weights named so far. */
  parameters = 0;
  /** A line for each tensor of the ordinary model that has been loaded, for `hash`. */
  readonly #prints: string[] = [];

  constructor(gpu: Gpu, source: TensorSource, format: WeightFormat) {
    this.#gpu = gpu;
    this.#source = source;
    this.#format = format;
  }

  has(name: string): boolean {
    return this.#source.tensors.has(name);
  }

  /** Of the largest buffer through which tensors pass while they are loaded; it is gone afterwards. */
  get stagingBytes(): number {
    return this.#stagingBytes;
  }

  /** Throws ModelError if the tensor is missing or its shape is not `want`. */
  #find(name: string, want: readonly number[]): TensorInfo {
    const tensor = this.#source.tensors.get(name);
    if (!tensor) throw this.#missing(name, want);
    if (tensor.shape.length !== want.length || tensor.shape.some((size, i) => size !== want[i])) {
      throw new ModelError(
        `weights: ${name}; got shape [${tensor.shape}], want [${want}]. Is config.json from the same checkpoint?`,
      );
    }
    this.parameters += want.reduce((product, size) => product * size, 1);
    return tensor;
  }

  #missing(name: string, want: readonly number[]): ModelError {
    const [[other, type] = []] = this.#source.others ?? [];
    const hint = other ? ` The file has ${other} in ${type}: use an unquantised checkpoint or a GGUF.` : "";
    return new ModelError(
      `weights: tensor ${name} is missing; want shape [${want}]. Is config.json from the same checkpoint?${hint}`,
    );
  }

  #job(tensor: TensorInfo, job: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>): void {
    const jobs = this.#jobs.get(tensor.name);
    if (jobs) jobs.push(job);
    else this.#jobs.set(tensor.name, [job]);
  }

  /** The rows of several tensors as the columns of one matrix: y = [A; B; …] · x in one product. */
  stacked(parts: readonly MatrixPart[], depth: number, { splits = false } = {}): Matrix {
    let columnOffset = 0;
    const placements = parts.map(({ name, rows, heads, shape = [rows, depth] }): Placement => {
      const tensor = { ...this.#find(name, shape), shape: [rows, depth] };
      const placement = { tensor, columnOffset, columnMode: 0, heads } as const;
      columnOffset += heads ? (rows / heads.fileWidth) * heads.width : rows;
      return placement;
    });
    return this.#matrix(placements, { columns: columnOffset, depth, splits });
  }

  /** Gate and up projections, interleaved in blocks of 4 columns, so that one thread computes both halves of an output. */
  interleaved(gate: string, up: string, outputs: number, depth: number): Matrix {
    const placement = (name: string, columnMode: ColumnMode): Placement => ({
      tensor: this.#find(name, [outputs, depth]),
      columnOffset: 0,
      columnMode,
    });
    return this.#matrix([placement(gate, 1), placement(up, 2)], { columns: 2 * outputs, depth, splits: true });
  }

  #matrix(
    placements: readonly Placement[],
    { columns, depth, splits }: { columns: number; depth: number; splits: boolean },
  ): Matrix {
    const form = { ...this.#layout(placements, depth), columns, depth };
    const matrix = emptyMatrix(this.#gpu, placements[0]!.tensor.name, form, { splits });
    for (const { tensor } of placements) {
      const { sliceRows, rowBytes } = slicesOf(tensor, this.#gpu.mostBytes);
      const bytes = alignUp(Math.min(tensor.shape[0]!, sliceRows) * rowBytes, 4);
      this.#stagingBytes = Math.max(this.#stagingBytes, bytes);
    }
    for (const placement of placements) this.#job(placement.tensor, (bytes) => this.#pack(matrix, placement, bytes));
    return matrix;
  }

  /** The narrowest form that holds every tensor without loss, or the form asked for. Blocks of 4 bits stay so. */
  #layout(placements: readonly Placement[], depth: number): { bits: 4 | 8 | 16 | 32; group: 16 | 32 } {
    const asked = { keep: null, f32: 32, f16: 16, q8: 8, q4: 4 } as const;
    const target = asked[this.#format];
    const types = placements.map(({ tensor: { type } }) => type);
    const widest = types.map((type) => {
      const own = bitsOf(type);
      return target === null || (target === 8 && own < 8) ? own : target;
    });
    let bits = Math.max(...widest) as 4 | 8 | 16 | 32;
    if (bits <= 8 && depth % 32 !== 0) bits = 16;
    return { bits, group: bits === 8 && types.some((type) => groupOf(type) === 16) ? 16 : 32 };
  }

  /** Uploads in slices of whole rows and lets the GPU write the form of its kernels. */
  async #pack(
    matrix: Matrix,
    { tensor, columnOffset, columnMode, heads }: Placement,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    const [rows, depth] = tensor.shape as [number, number];
    const { sliceRows, rowBytes } = slicesOf(tensor, this.#gpu.mostBytes);
    const form = {
      headRows: heads?.fileWidth ?? 0,
      headColumns: heads?.width ?? 0,
      turned: heads?.turned ?? 0,
      interleaved: tensor.interleavedHeads > 0 ? 1 : 0,
    };
    for (const piece of piecesOf(matrix)) {
      const { from, to } = rowsIn(piece, { columnOffset, columnMode, rows });
      for (let firstRow = from; firstRow < to; firstRow += sliceRows) {
        const count = Math.min(sliceRows, to - firstRow);
        const raw = this.#upload(bytes.subarray(firstRow * rowBytes, (firstRow + count) * rowBytes));
        const params = { rows: count, depth, columnOffset, columnMode, ...form, firstRow };
        await Program.once(this.#gpu, `pack ${tensor.name}`, [packer(tensor.type, matrix, piece, { raw, params })]);
      }
    }
    await this.#bound(bytes.byteLength);
  }

  /** Queued uploads must not exhaust memory; waiting for each of them would leave the GPU idle meanwhile. */
  async #bound(bytes: number): Promise<void> {
    this.#queued += bytes;
    if (this.#queued < QUEUED_BYTES) return;
    this.#queued = 0;
    await this.#gpu.done();
  }

  #upload(bytes: Uint8Array<ArrayBuffer>): GPUBuffer {
    const size = alignUp(bytes.byteLength, 4);
    if (!this.#staging || this.#staging.size < size) {
      if (this.#staging) this.#gpu.release(this.#staging);
      this.#staging = this.#gpu.buffer("raw tensor", size, "scratch");
    }
    const whole = bytes.byteLength - (bytes.byteLength % 4);
    this.#gpu.write(this.#staging, 0, bytes.subarray(0, whole));
    if (whole < bytes.byteLength) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      this.#gpu.write(this.#staging, whole, tail);
    }
    return this.#staging;
  }

  /** Vectors one after another in one f32 buffer, in column order of the matrix they belong to. */
  vector(names: readonly string[], lengths: readonly number[]): Vector {
    return this.joined(names.map((name, i) => ({ name, length: lengths[i]! })));
  }

  /** The same of which some values are changed or moved on the way. */
  joined(parts: readonly VectorPart[]): Vector {
    const total = parts.reduce((sum, { length, kept = length }) => sum + kept, 0);
    const buffer = this.#gpu.buffer(parts[0]!.name, total * 4, "weights");
    let offset = 0;
    for (const part of parts) {
      const at = offset * 4;
      this.#values(part, (values) => this.#gpu.write(buffer, at, values));
      offset += part.kept ?? part.length;
    }
    return buffer;
  }

  /** Two vectors of as many values, in blocks of 4 in turn: biases of a matrix that `interleaved` made. */
  interleavedVector(names: readonly [gate: string, up: string], length: number): Vector {
    const buffer = this.#gpu.buffer(names[0], 2 * length * 4, "weights");
    for (const [which, name] of names.entries())
      this.#values({ name, length }, (values) => {
        for (let n = 0; n < length; n += 4) this.#gpu.write(buffer, (2 * n + 4 * which) * 4, values.subarray(n, n + 4));
      });
    return buffer;
  }

  #values(
    { name, length, as, shape = [length] }: VectorPart,
    write: (values: Float32Array<ArrayBuffer>) => void,
  ): void {
    const tensor = this.#find(name, shape);
    if (!isFloat(tensor.type))
      throw new UnsupportedError(`weights: ${name}; got type ${tensor.type}, want F32, F16 or BF16.`);
    this.#job(tensor, async (bytes) => {
      const values = deinterleave(toFloats(tensor.type, bytes), tensor.interleavedHeads);
      write(as ? as(values) : values);
    });
  }

  /**
   * Reads every tensor that was named, in file order, at most one at a time. `onSteady` is called once: when those that are
   * left need no kernels but those of tensors before them.
   */
  async load(signal?: AbortSignal, onSteady: () => void = () => {}): Promise<void> {
    const fresh = this.#repeatedKinds();
    if (fresh.size === 0) onSteady();
    for (const [name, tensor] of this.#source.tensors) {
      const jobs = this.#jobs.get(name);
      if (!jobs) continue;
      signal?.throwIfAborted();
      this.#gpu.check(); // a device that was lost would take all the others too
      const bytes = await this.#source.read(name, signal);
      for (const job of jobs) await job(bytes);
      if (isOrdinary(name)) this.#prints.push(await printOf(tensor, bytes));
      if (fresh.delete(kindOf(tensor)) && fresh.size === 0) onSteady();
    }
    if (this.#staging) this.#gpu.release(this.#staging);
    this.#staging = null;
  }

  /** Types and shapes that come in several tensors, as those of layers. */
  #repeatedKinds(): Set<string> {
    const kinds = [...this.#source.tensors]
      .filter(([name]) => this.#jobs.has(name))
      .map(([, tensor]) => kindOf(tensor));
    const repeated = new Set(kinds.filter((kind, i) => kinds.indexOf(kind) < i));
    return repeated.size > 0 ? repeated : new Set(kinds.slice(0, 1));
  }

  /** Tells the ordinary model apart from others, once it is loaded: docs/recovery.md, "The hash". */
  hash(): Promise<string> {
    return hashOf(this.#prints);
  }
}

/** Rows that are uploaded at once. */
function slicesOf({ type, shape }: TensorInfo, mostBytes: number): { sliceRows: number; rowBytes: number } {
  const rowBytes = rawBytes(type, shape[1]!);
  // 8 rows end on a word boundary for every type, and keep gate/up blocks whole.
  return { rowBytes, sliceRows: Math.max(8, Math.floor(Math.min(SLICE_BYTES, mostBytes) / rowBytes / 8) * 8) };
}

/** Rows of a tensor that lie in a piece of its matrix; of an interleaved pair half as many as columns. Heads are never split. */
function rowsIn(
  { first, columns }: PieceRange,
  { columnOffset, columnMode, rows }: Pick<Placement, "columnOffset" | "columnMode"> & { rows: number },
): { from: number; to: number } {
  const rowOf = (column: number) => Math.min(rows, Math.max(0, (column - columnOffset) / (columnMode > 0 ? 2 : 1)));
  return first === 0 ? { from: 0, to: rowOf(columns) } : { from: rowOf(first), to: rowOf(first + columns) };
}

const kindOf = ({ type, shape }: TensorInfo): string => `${type} ${shape}`;

/** Of the lines of all tensors. */
export const hashOf = (prints: readonly string[]): Promise<string> =>
  sha256(new TextEncoder().encode(prints.toSorted().join("\n")));

/** Tensors on which a layer's input depends, under their ordinary names. */
export const isOrdinary = (name: string): boolean =>
  /^model\.(embed_tokens|layers|norm)\./.test(name) && !name.includes("swiftkv");

/** Of each tensor's bytes: training changes every part of a tensor, and hashing all of it would take seconds. */
const HASHED_BYTES = 4096;

/** The line of a tensor. */
export const printOf = async ({ name, type, shape }: TensorInfo, bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  `${name} ${type} [${shape}] ${await sha256(bytes.subarray(0, HASHED_BYTES))}`;

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** f32 values of an F32, F16 or BF16 tensor. */
export function toFloats(type: TensorType, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (type === "F32") return new Float32Array(bytes.slice().buffer);
  assert(type === "F16" || type === "BF16", `toFloats of ${type}`);
  const halves = new Uint16Array(bytes.slice().buffer);
  if (type === "BF16") return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
  return Float32Array.from(halves, halfToFloat);
}

function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Undoes the row order of interleaved RoPE in a bias: within a head, element 2i + j came from j · E/2 + i. */
function deinterleave(values: Float32Array<ArrayBuffer>, heads: number): Float32Array<ArrayBuffer> {
  if (heads === 0) return values;
  const width = values.length / heads;
  return values.map((_, at) => {
    const within = at % width;
    const half = width / 2;
    return values[at - within + 2 * (within % half) + Math.floor(within / half)]!;
  });
}

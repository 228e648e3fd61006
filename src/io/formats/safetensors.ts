// safetensors: 8 bytes little-endian header length, a JSON header, then the tensors back to back.
// https://github.com/huggingface/safetensors#format

import { isObject, ModelError } from "../../errors.ts";
import { checkRange, decodeText, parseObject, quote } from "../files/bytes.ts";
import type { ByteFile } from "../files/bytes.ts";
import { TENSOR_BLOCKS, type TensorType } from "../../tensor.ts";
import { elementCount } from "./tensor.ts";
import type { StoredTensor } from "./tensor.ts";

/** The limit of the reference reader. */
const maxHeaderBytes = 100_000_000;

/** Bytes per element of the types that exist; the engine computes with the first three. */
const typeBytes: ReadonlyMap<string, number> = new Map([
  ...(["F32", "F16", "BF16"] as const).map((type) => [type, TENSOR_BLOCKS[type].bytes] as const),
  ...["F64", "I64", "U64", "C64"].map((type) => [type, 8] as const),
  ...["I32", "U32"].map((type) => [type, 4] as const),
  ...["I16", "U16"].map((type) => [type, 2] as const),
  ...["I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"].map((type) => [type, 1] as const),
]);

interface Entry {
  name: string;
  type: string;
  shape: number[];
  begin: number;
  end: number;
}

export interface Safetensors {
  /** In file order. */
  tensors: StoredTensor[];
  /** Tensors of types that the engine does not compute with, by name. An error only where one of them is needed. */
  others: ReadonlyMap<string, string>;
  /** What the file says beside its tensors, checked by whoever reads it. */
  metadata: unknown;
}

/**
 * The tensors of one file. Throws ModelError for every contradiction: what is returned lies inside the
 * file, does not overlap, leaves no gap, and has as many bytes as its shape says.
 */
export async function readSafetensors(file: ByteFile, signal?: AbortSignal): Promise<Safetensors> {
  const { header, dataStart } = await readHeader(file, signal);
  const entries = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, value]) => readEntry(file, name, value))
    .toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(file, entries, file.size - dataStart);
  return {
    tensors: entries.flatMap((entry) => toTensor(file, entry, dataStart)),
    others: new Map(entries.filter(({ type }) => !isUsable(type)).map(({ name, type }) => [name, type])),
    metadata: header["__metadata__"],
  };
}

async function readHeader(file: ByteFile, signal?: AbortSignal) {
  const prefix = await file.read(0, 8, { signal, until: 8 });
  const headerBytes = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (headerBytes > Math.min(maxHeaderBytes, file.size - 8)) {
    throw new ModelError(
      `${file.name}: header length out of range; got ${headerBytes}, want at most ${Math.min(maxHeaderBytes, file.size - 8)}. Is it a complete safetensors file?`,
    );
  }
  const dataStart = 8 + headerBytes;
  const text = decodeText(await file.read(8, headerBytes, { signal, until: dataStart }), `${file.name} header`);
  return { header: parseObject(text, `${file.name} header`), dataStart };
}

function readEntry(file: ByteFile, name: string, value: unknown): Entry {
  const fail = (what: string, got: unknown, want: string): never => {
    throw new ModelError(`${file.name}: tensor ${quote(name)} ${what}; got ${quote(got)}, want ${want}.`);
  };
  if (!isObject(value)) return fail("has no description", value, "{dtype, shape, data_offsets}");
  const { dtype, shape, data_offsets: offsets } = value;
  const bytes = typeof dtype === "string" ? typeBytes.get(dtype) : undefined;
  if (typeof dtype !== "string" || bytes === undefined) return fail("has an unknown dtype", dtype, "F32, F16 or BF16");
  if (!Array.isArray(shape)) return fail("has no shape", shape, "an array of counts");
  const count = elementCount(shape);
  if (Number.isNaN(count)) return fail("has an impossible shape", shape, "an array of counts");
  if (!isPair(offsets)) return fail("has no data_offsets", offsets, "[begin, end]");
  const [begin, end] = offsets;
  if (end - begin !== count * bytes) {
    return fail("has the wrong number of bytes", end - begin, `${count * bytes} for ${dtype} ${quote(shape)}`);
  }
  return { name, type: dtype, shape, begin, end };
}

function isPair(value: unknown): value is [number, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [begin, end]: unknown[] = value;
  return isCount(begin) && isCount(end) && begin <= end;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

/** `entries` sorted by place: each begins where the one before ends, the last ends with the data. */
function checkLayout(file: ByteFile, entries: readonly Entry[], dataBytes: number): void {
  let position = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== position) {
      const what = begin < position ? "overlaps the one before" : "leaves a gap before it";
      throw new ModelError(`${file.name}: tensor ${quote(name)} ${what}; got begin ${begin}, want ${position}.`);
    }
    position = end;
  }
  checkRange(file, file.size - dataBytes, position);
  if (position === dataBytes) return;
  throw new ModelError(`${file.name}: bytes behind the last tensor; got ${dataBytes} of data, want ${position}.`);
}

function toTensor(file: ByteFile, { name, type, shape, begin, end }: Entry, dataStart: number): StoredTensor[] {
  if (!isUsable(type)) return [];
  return [{ name, shape, type, byteLength: end - begin, interleavedHeads: 0, file, offset: dataStart + begin }];
}

const isUsable = (type: string): type is TensorType => type === "F32" || type === "F16" || type === "BF16";

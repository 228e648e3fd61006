// Tensors as files store them: where they lie, and how many elements they have.
import type { TensorInfo } from "../../tensor.ts";
import type { ByteFile } from "../files/bytes.ts";

/** A tensor and its place: bytes [offset, offset + byteLength) of `file`. */
export interface StoredTensor extends TensorInfo {
  file: ByteFile;
  offset: number;
  byteLength: number;
}

/** Number of elements, or NaN if a dimension is no count or the product is no safe integer. */
export function elementCount(shape: readonly unknown[]): number {
  let count = 1;
  for (const size of shape) {
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return Number.NaN;
    count *= size;
    if (!Number.isSafeInteger(count)) return Number.NaN;
  }
  return count;
}

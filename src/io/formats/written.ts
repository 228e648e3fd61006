// safetensors that are written: students and checkpoints. The format: safetensors.ts.
import type { TensorType } from "../../tensor.ts";

/** A tensor to be written. */
export interface NewTensor {
  name: string;
  shape: readonly number[];
  type: "F32" | "F16";
  bytes: Uint8Array<ArrayBuffer>;
}

/** The file that holds these tensors, back to back, and a text under each key of `metadata`. */
export function writeSafetensors(
  tensors: readonly NewTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const head = safetensorsHead(
    tensors.map((tensor) => ({ ...tensor, byteLength: tensor.bytes.length })),
    metadata,
  );
  const total = tensors.reduce((sum, { bytes }) => sum + bytes.length, head.length);
  const file = new Uint8Array(total);
  file.set(head);
  let at = head.length;
  for (const { bytes } of tensors) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/** What a file begins with whose tensors follow back to back, in this order. */
export function safetensorsHead(
  tensors: readonly { name: string; shape: readonly number[]; type: TensorType; byteLength: number }[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const { name, shape, type, byteLength } of tensors)
    header[name] = { dtype: type, shape, data_offsets: [end, (end += byteLength)] };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8; // the reference reader wants 8-byte alignment
  const head = new Uint8Array(8 + length);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.fill(0x20, 8); // spaces
  head.set(text, 8);
  return head;
}

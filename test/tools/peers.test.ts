// The model that transformers.js is given in the comparison: the same weights, in the form that ONNX Runtime reads.
import { expect, test } from "playwright/test";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { graphOf } from "../../tools/peers/graph.ts";
import { onnxFile } from "../../tools/peers/onnx.ts";
import { dequantised, quantised } from "../../tools/peers/weights.ts";
import { randomModel } from "../../tools/shapes/file.ts";
import { TOY } from "../../tools/gpu/toy.ts";

const scaleOf = (raw: Uint8Array, at: number): number => {
  const half = raw[at]! | (raw[at + 1]! << 8);
  return (1 + (half & 1023) / 1024) * 2 ** ((half >> 10) - 15); // no sign, no zero
};

test("4 bits: each value is where MatMulNBits looks for it", async () => {
  const checkpoint = await openCheckpoint([randomModel(TOY)]);
  const name = "model.layers.1.mlp.down_proj.weight";
  const info = checkpoint.tensors.get(name)!;
  const raw = await checkpoint.read(name);
  const { values, scales } = quantised(name, info, raw);
  const factors = new Float32Array(scales.bytes.buffer);
  const [rows, depth] = info.shape as [number, number];
  for (const at of [0, 1, 15, 16, 31, 32, 5000, rows * depth - 1]) {
    const [block, i] = [Math.floor(at / 32), at % 32];
    const start = block * 18; // of ggml's: a scale, then byte j with value j low and value j + 16 high
    const byte = raw[start + 2 + (i % 16)]!;
    const want = ((i < 16 ? byte & 15 : byte >> 4) - 8) * scaleOf(raw, start);
    const pair = values.bytes[Math.floor(at / 2)]!;
    expect(((at % 2 === 0 ? pair & 15 : pair >> 4) - 8) * factors[block]!).toBe(want);
  }
});

test("8 bits: the table and the head are the same numbers", async () => {
  const checkpoint = await openCheckpoint([randomModel(TOY)]);
  const name = "model.embed_tokens.weight";
  const info = checkpoint.tensors.get(name)!;
  const raw = await checkpoint.read(name);
  const table = new Float32Array(dequantised(name, info, quantised(name, info, raw)).bytes.buffer);
  for (const at of [0, 31, 32, 999, table.length - 1]) {
    const start = Math.floor(at / 32) * 34;
    expect(table[at]).toBe(((raw[start + 2 + (at % 32)]! << 24) >> 24) * scaleOf(raw, start));
  }
});

/** Fields of a message in protocol buffers' wire format: numbers, and bytes of messages and texts. Throws where lengths do not fit. */
function fieldsOf(bytes: Uint8Array): { field: number; value: number | Uint8Array }[] {
  const fields = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    const size = kind === 2 ? varint() : kind === 5 ? 4 : 0;
    if (at + size > bytes.length) throw new Error(`field ${tag >> 3} ends behind its message`);
    fields.push({ field: tag >> 3, value: kind === 0 ? varint() : bytes.subarray(at, at + size) });
    at += size;
  }
  return fields;
}

test("the file holds every layer's operators, and each input is an output, a constant or an input before it", async () => {
  const checkpoint = await openCheckpoint([randomModel(TOY)]);
  const graph = await graphOf(checkpoint, TOY);
  const model = fieldsOf(Buffer.concat([...onnxFile(graph)]));
  const whole = fieldsOf(model.find(({ field }) => field === 7)!.value as Uint8Array);
  const text = (bytes: number | Uint8Array) => new TextDecoder().decode(bytes as Uint8Array);
  const names = (field: number, nameField: number) =>
    whole
      .filter((each) => each.field === field)
      .map(({ value }) => text(fieldsOf(value as Uint8Array).find((each) => each.field === nameField)!.value));
  const known = new Set([...names(5, 8), ...names(11, 1)]); // initializers and inputs
  const operators = new Map<string, number>();
  for (const { value } of whole.filter(({ field }) => field === 1)) {
    const node = fieldsOf(value as Uint8Array);
    const all = (field: number) => node.filter((each) => each.field === field).map((each) => text(each.value));
    expect(all(1).filter((input) => input !== "" && !known.has(input))).toEqual([]);
    for (const output of all(2)) known.add(output);
    operators.set(all(4)[0]!, (operators.get(all(4)[0]!) ?? 0) + 1);
  }
  expect(operators.get("GroupQueryAttention")).toBe(TOY.layers);
  expect(operators.get("MatMulNBits")).toBe(7 * TOY.layers + 1);
  expect(names(12, 1).filter((output) => !known.has(output))).toEqual([]);
});

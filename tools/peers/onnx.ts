// Writes ONNX files: the messages of onnx.proto that a graph needs, in protocol buffers' wire format.
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

/** ONNX's numbers of the types that are used. */
export const TYPES = { float: 1, uint8: 2, int32: 6, int64: 7 } as const;
type ElementType = keyof typeof TYPES;

/** null: any size; a text: a name for one. */
type Dimension = number | string;

export interface ValueInfo {
  name: string;
  type: ElementType;
  shape: readonly Dimension[];
}

export interface Initializer {
  name: string;
  type: ElementType;
  shape: readonly number[];
  bytes: Uint8Array;
}

/** Whole numbers are written as ints, `{ float }` as floats. */
export type Attribute = number | readonly number[] | { float: number };

export interface Node {
  op: string;
  /** "" for ONNX's own operators. */
  domain: string;
  /** "" stands for an optional one that is left out. */
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: Readonly<Record<string, Attribute>>;
}

export interface Graph {
  nodes: readonly Node[];
  initializers: readonly Initializer[];
  inputs: readonly ValueInfo[];
  outputs: readonly ValueInfo[];
}

/** Pieces of bytes that lie one after another: large ones are not copied until the end. */
type Bytes = readonly Uint8Array[];

const lengthOf = (bytes: Bytes): number => bytes.reduce((sum, { length }) => sum + length, 0);

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, BigInt(value));
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  return Uint8Array.of(...bytes, Number(left));
}

const whole = (field: number, value: number): Bytes => [varint(field << 3), varint(value)];
const message = (field: number, bytes: Bytes): Bytes => [varint((field << 3) | 2), varint(lengthOf(bytes)), ...bytes];
const text = (field: number, value: string): Bytes => message(field, [new TextEncoder().encode(value)]);
const float = (field: number, value: number): Bytes => [
  varint((field << 3) | 5),
  new Uint8Array(Float32Array.of(value).buffer),
];
const texts = (field: number, values: readonly string[]): Bytes => values.flatMap((value) => text(field, value));

/** Kinds of attributes: AttributeProto.AttributeType. */
const KIND = { float: 1, int: 2, ints: 7 };

function attribute([name, value]: [string, Attribute]): Bytes {
  const named = text(1, name);
  if (typeof value === "number") return message(5, [...named, ...whole(3, value), ...whole(20, KIND.int)]);
  if ("float" in value) return message(5, [...named, ...float(2, value.float), ...whole(20, KIND.float)]);
  return message(5, [...named, ...value.flatMap((each) => whole(8, each)), ...whole(20, KIND.ints)]);
}

const node = ({ op, domain, inputs, outputs, attributes }: Node): Bytes => [
  ...texts(1, inputs),
  ...texts(2, outputs),
  ...text(4, op),
  ...Object.entries(attributes).flatMap(attribute),
  ...text(7, domain),
];

const tensor = ({ name, type, shape, bytes }: Initializer): Bytes => [
  ...shape.flatMap((size) => whole(1, size)),
  ...whole(2, TYPES[type]),
  ...text(8, name),
  ...message(9, [bytes]),
];

const dimension = (size: Dimension): Bytes => message(1, typeof size === "number" ? whole(1, size) : text(2, size));

const valueInfo = ({ name, type, shape }: ValueInfo): Bytes => {
  const tensorType = [...whole(1, TYPES[type]), ...message(2, shape.flatMap(dimension))];
  return [...text(1, name), ...message(2, message(1, tensorType))];
};

const operators = (domain: string, version: number): Bytes => message(8, [...text(1, domain), ...whole(2, version)]);

/** The file, as pieces in order. */
export function onnxFile({ nodes, initializers, inputs, outputs }: Graph): Bytes {
  const graph = [
    ...nodes.flatMap((each) => message(1, node(each))),
    ...text(2, "model"),
    ...initializers.flatMap((each) => message(5, tensor(each))),
    ...inputs.flatMap((each) => message(11, valueInfo(each))),
    ...outputs.flatMap((each) => message(12, valueInfo(each))),
  ];
  return [...whole(1, 10), ...message(7, graph), ...operators("", 21), ...operators("com.microsoft", 1)];
}

// What a joint page of MiniCache holds, word by word, and how two layers' heads become one direction, in float64: independent of the
// shaders that write and read it.
import { type PageShape, pairOf } from "./attn_case.ts";
import { halfOf } from "./matrix.ts";

export interface JointShape extends PageShape {
  /** Slots that stay as they are. */
  EXACT: number;
}

export type Kind = "k" | "v";
export const KINDS = ["k", "v"] as const;

/** First words of the parts of a page. */
export function partsOfJoint({ E, KV_BITS, EXACT }: JointShape) {
  const row = (E * KV_BITS) / 32;
  const values = (32 + EXACT) * row;
  const layerScales = KV_BITS === 16 ? 32 : 64;
  const exact = 2 * values + 2 * layerScales;
  return { row, values, scales: 2 * values, layerScales, exact, used: exact + 2, end: 4 * Math.ceil((exact + 2) / 4) };
}

/** Words of a row of K or V. */
export function wordsOfRow(shape: JointShape, kind: Kind, row: number): number[] {
  const parts = partsOfJoint(shape);
  return Array.from({ length: parts.row }, (_, w) => {
    if (kind === "v") return parts.values + row * parts.row + w;
    return row < 32 ? (Math.floor(row / 8) * parts.row + w) * 8 + (row % 8) : row * parts.row + w;
  });
}

/** Word of a slot's scale for the first layer (0) or the second; of f16 it holds those of K and V. */
export const scaleAt = (shape: JointShape, twin: number, kind: Kind, slot: number): number => {
  const { scales, layerScales } = partsOfJoint(shape);
  return scales + twin * layerScales + slot + (kind === "v" && layerScales === 64 ? 32 : 0);
};

export const exactSlotsAt = (shape: JointShape, kind: Kind): number =>
  partsOfJoint(shape).exact + (kind === "v" ? 1 : 0);

/** Slots of a mask, ascending. */
export const slotsOf = (mask: number): number[] =>
  Array.from({ length: 32 }, (_, slot) => slot).filter((slot) => ((mask >>> slot) & 1) === 1);

/** The row that a layer reads a slot from. */
export function rowOf(shape: JointShape, page: Uint32Array, twin: number, kind: Kind, slot: number): number {
  const among = slotsOf(page[exactSlotsAt(shape, kind)]!).indexOf(slot);
  return twin === 1 && among >= 0 ? 32 + among : slot;
}

const floatOf = (word: number): number => new Float32Array(Uint32Array.of(word).buffer)[0]!;

/** What one layer finds in a slot's K or V. */
export function readHead(
  shape: JointShape,
  page: Uint32Array,
  twin: number,
  kind: Kind,
  slot: number,
): { values: number[]; step: number } {
  const { E, KV_BITS } = shape;
  const words = wordsOfRow(shape, kind, rowOf(shape, page, twin, kind, slot)).map((at) => page[at]!);
  const scale = page[scaleAt(shape, twin, kind, slot)]!;
  const bitsOf = (e: number) => (words[Math.floor((e * KV_BITS) / 32)]! >>> ((e * KV_BITS) % 32)) & (2 ** KV_BITS - 1);
  const channels = Array.from({ length: E }, (_, e) => e);
  if (KV_BITS <= 8) {
    const { scale: step, minimum } = pairOf(scale);
    return { values: channels.map((e) => minimum + step * bitsOf(e)), step };
  }
  const size = KV_BITS === 32 ? floatOf(scale) : halfOf((scale >>> (kind === "v" ? 16 : 0)) & 0xffff);
  return { values: channels.map((e) => size * (KV_BITS === 32 ? floatOf(words[e]!) : halfOf(bitsOf(e)))), step: 0 };
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, x, e) => sum + x * b[e]!, 0);

export const normOf = (a: ArrayLike<number>): number => Math.sqrt(dot(a, a));

/** Of two heads; 1 where one is nothing. */
export function cosineOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const size = normOf(a) * normOf(b);
  return size === 0 ? 1 : Math.max(-1, Math.min(1, dot(a, b) / size));
}

/** The unit vector `toward` of the way on the arc from the direction of a to that of b. */
export function between(a: ArrayLike<number>, b: ArrayLike<number>, toward: number): Float64Array {
  const [na, nb, angle] = [normOf(a), normOf(b), Math.acos(cosineOf(a, b))];
  const arc = angle > 1e-6 ? [Math.sin((1 - toward) * angle), Math.sin(toward * angle)] : [1 - toward, toward];
  const [u, v] = [na === 0 ? 0 : arc[0]! / na, nb === 0 ? 0 : arc[1]! / nb];
  const mixed = Float64Array.from(a, (x, e) => u * x + v * b[e]!);
  const size = normOf(mixed);
  return mixed.map((x) => (size === 0 ? 0 : x / size));
}

/** The `count` slots whose two heads differ most in direction; of equal ones the earlier. Ascending. */
export function mostDifferent(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[], count: number) {
  const cosines = a.map((head, slot) => cosineOf(head, b[slot]!));
  const order = [...cosines.keys()].sort((i, j) => cosines[i]! - cosines[j]! || i - j);
  const slots = order.slice(0, count).sort((i, j) => i - j);
  const [last, next] = [order[count - 1], order[count]];
  /** How far the last that stays is from the first that does not. */
  const margin = last === undefined || next === undefined ? Infinity : cosines[next]! - cosines[last]!;
  return { slots, margin };
}

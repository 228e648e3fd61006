// What enters the boundary's layer, as blocks of a sequence keep it.
import { floatBits, floatOf, halfBits, halfOf } from "../matrix.ts";
import { floats, pick } from "../spec.ts";

export interface InputShape {
  D: number;
  BITS: 16 | 32;
  WG: number;
}

export function drawInputs(uniform: () => number, tiny: boolean): InputShape {
  return {
    D: tiny ? 8 : pick(uniform, [4, 8, 60, 68, 192, 576]),
    BITS: pick(uniform, [16, 32]),
    WG: tiny ? 4 : pick(uniform, [4, 32, 64]),
  };
}

export const inputWords = ({ D, BITS }: InputShape): number => (BITS === 32 ? D : D / 2 + 1);

/** Two sequences of `pages` pages, whose blocks lie in two arenas: the table behind some records, and where a token's words are. */
export function drawInputPages(uniform: () => number, shape: InputShape, pages: number, records: number) {
  const words = 32 * inputWords(shape);
  const column = pick(uniform, [0, 3]);
  const columns = column + 1 + pick(uniform, [0, 1]);
  const listLength = 1 + pages + pick(uniform, [0, 2]);
  const arena = pick(uniform, [0, 1]);
  const tableAt = records + pick(uniform, [0, 5]);
  const rows = new Uint32Array((tableAt + 2 * listLength * columns) * 4).fill(0xfffffff0);
  const places = [0, 1].map((sequence) =>
    Array.from({ length: pages }, (_, page) => {
      const place = { word: ((1 - sequence) * pages + page) * words, here: uniform() < 0.75 };
      const entry = (tableAt + (sequence * listLength + 1 + page) * columns + column) * 4;
      rows.set([place.word, 0xffffffff, place.here ? arena : 1 - arena, 32 * page], entry);
      return place;
    }),
  );
  const at = (sequence: number, token: number) => {
    const { word, here } = places[sequence]![Math.floor(token / 32)]!;
    return { word: word + (token % 32) * inputWords(shape), here };
  };
  return { rows, at, length: 2 * pages * words, params: { column, columns, listLength, tableAt, arena } };
}

/** A row of which one channel is far from the others, and how it is kept: words, and what they say. */
export function drawRow(uniform: () => number, { D, BITS }: InputShape): Float32Array {
  const row = floats(uniform, D, pick(uniform, [1e-3, 1, 30]));
  if (BITS === 16 && uniform() < 0.5) row[Math.floor(uniform() * D)] = 2e5;
  return row;
}

/** As keep_inputs writes a row whose length is `length`. */
export function wordsOf(row: Float32Array, { BITS }: InputShape, length: number): Uint32Array {
  if (BITS === 32) return Uint32Array.from(row, floatBits);
  const half = (i: number) => halfBits(row[i]! / length);
  const pairs = Array.from({ length: row.length / 2 }, (_, i) => half(2 * i) | (half(2 * i + 1) << 16));
  return Uint32Array.from([floatBits(length), ...pairs]);
}

export const lengthOf = (row: Float32Array): number =>
  Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length);

/** Number i of kept words. */
export const keptNumber = (words: Uint32Array, { BITS }: InputShape, i: number): number =>
  BITS === 32
    ? floatOf(words[i]!)
    : floatOf(words[0]!) * halfOf((words[1 + Math.floor(i / 2)]! >>> (16 * (i % 2))) & 0xffff);

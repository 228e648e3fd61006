// Damage to files, by seed: flipped bits, truncation, extreme lengths and counts, other values in JSON.

import { number } from "./formats.ts";

/** No header of the small files is longer. */
const headerBytes = 1500;

export type Files = Map<string, Uint8Array<ArrayBuffer>>;

/** Deterministic numbers in [0, count). */
function dice(seed: number): (count: number) => number {
  let state = seed + 0x9e3779b9;
  return (count) => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
    state = Math.imul(state ^ (state >>> 12), 0x297a2d39);
    state = (state ^ (state >>> 15)) + 0x6d2b79f5;
    return (state >>> 0) % count;
  };
}

type Roll = ReturnType<typeof dice>;

function flip(bytes: Uint8Array<ArrayBuffer>, roll: Roll) {
  const damaged = bytes.slice();
  // In headers, which are what is parsed, three times of four.
  const reach = roll(4) > 0 ? Math.min(headerBytes, bytes.length) : bytes.length;
  for (let flips = 1 + roll(8); flips > 0; flips--) damaged[roll(reach)]! ^= 1 << roll(8);
  return damaged;
}

const truncate = (bytes: Uint8Array<ArrayBuffer>, roll: Roll) => bytes.slice(0, roll(bytes.length));

const extremes = [
  0n,
  1n,
  -1n,
  7n,
  255n,
  2n ** 16n,
  2n ** 24n,
  2n ** 31n - 1n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n,
  2n ** 63n - 1n,
];

/** An extreme 32- or 64-bit number where lengths and counts are. */
function editLength(bytes: Uint8Array<ArrayBuffer>, roll: Roll) {
  const damaged = bytes.slice();
  const value = number(extremes[roll(extremes.length)]!, roll(2) === 0 ? 4 : 8);
  damaged.set(value, roll(Math.min(headerBytes, damaged.length - 8)));
  return damaged;
}

const jsonValues = [
  "null",
  "-1",
  "1e999",
  "0.5",
  "9007199254740993",
  '""',
  "[]",
  "{}",
  "[[[[]]]]",
  "true",
  '"\\ud800"',
  '{"__proto__":[]}',
];

/** Another value or key in the JSON of the file: after a byte that begins a value. */
function editJson(bytes: Uint8Array<ArrayBuffer>, roll: Roll) {
  const source = new TextDecoder("latin1").decode(bytes);
  const places = [...source.matchAll(/(?<=[:[,] ?)("[^"]*"|-?[\d.]+|\[[^[\]]*\]|\{[^{}]*\})/g)];
  const place = places[roll(Math.max(1, places.length))];
  if (!place) return flip(bytes, roll);
  const edited =
    source.slice(0, place.index) + jsonValues[roll(jsonValues.length)] + source.slice(place.index + place[0].length);
  const damaged = Uint8Array.from(edited, (char) => char.charCodeAt(0));
  // Most times the header length of a safetensors file follows the edit, so that what is behind it is reached.
  const isHeader = bytes[8] === 0x7b && roll(4) > 0;
  if (isHeader) damaged.set(number(Number(bytes[0]) + 256 * Number(bytes[1]) + damaged.length - bytes.length, 8));
  return damaged;
}

/** A whole source with one file damaged, and a name for it. */
export function damage(sources: readonly Files[], seed: number): { files: Files; what: string } {
  const roll = dice(seed);
  const files = new Map(sources[roll(sources.length)]);
  const names = [...files.keys()];
  const name = names[roll(names.length)]!;
  const kinds = name.endsWith(".gguf")
    ? [flip, truncate, editLength, editLength]
    : [flip, truncate, editLength, editJson, editJson, editJson];
  const kind = kinds[roll(kinds.length)]!;
  const damaged = kind(files.get(name)!, roll);
  files.set(name, damaged);
  return { files, what: `seed ${seed}: ${kind.name} of ${name}` };
}

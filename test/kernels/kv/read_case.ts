// A case of attn_decode over pages of another format, as a system's reader of sealed pages is tested.
import type { Cache } from "../attn_case.ts";
import { decodeCase } from "../attention/attn_decode.ts";

/** `encode` puts a page of the format in the place of each page of f32, and leaves in the cache what that one stands for. */
export function readCase(
  seed: number,
  { E, heads: [H, G], tiny }: { E: number; heads: readonly [number, number]; tiny: boolean },
  encode: (cache: Cache) => Uint32Array,
) {
  const base = decodeCase(seed, tiny, [H, G, E, 32], encode);
  const PAGES = tiny ? 1 : 2;
  return { ...base, constants: { H, G, E, R: H / G, WG: tiny ? 8 : Math.max(64, E), PAGES } };
}

/** The table where pages lie elsewhere, by where they lay. */
export function movedTable(
  { table, listLength, columns, arena }: Cache,
  places: ReadonlyMap<number, number>,
): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(table, (word, i) => {
    const entry = Math.floor(i / 4);
    const isHeader = Math.floor(entry / columns) % listLength === 0;
    return i % 4 === 0 && !isHeader && table[i + 2] === arena ? (places.get(word) ?? word) : word;
  });
}

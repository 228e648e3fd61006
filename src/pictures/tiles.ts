// A picture as models of Idefics3's kind see it: square tiles in reading order, and then the whole of it in one tile. Sizes are
// those of transformers' processor.
import type { Raster } from "./raster.ts";
import { resize } from "./resize.ts";

/** From preprocessor_config.json. */
export interface TileRules {
  /** Pixels of the longer side that every picture is brought to first; null: it is left as it is. */
  longest: number | null;
  /** Pixels along each side of a tile. */
  tile: number;
  /** The picture is cut into tiles. If not, or where one holds it, there is only the whole. */
  splits: boolean;
}

export interface Tiles {
  /** Of tiles, without that of the whole; 0: the whole alone. */
  rows: number;
  columns: number;
  /** Pixels of all tiles, one after another, four bytes each. */
  pixels: Uint32Array<ArrayBuffer>;
  tiles: readonly Uint32Array<ArrayBuffer>[];
}

/** No side is longer. */
const MOST_SIDE = 4096;

/** `tile`: what the model's tower sees. What the file leaves out is as Idefics3's processor has it. */
export function rulesOf(preprocessor: Readonly<Record<string, unknown>>, tile: number): TileRules {
  const size = preprocessor["size"] as Record<string, unknown> | undefined;
  return {
    longest: preprocessor["do_resize"] === false ? null : Number(size?.["longest_edge"] ?? 4 * 364),
    tile,
    splits: preprocessor["do_image_splitting"] !== false,
  };
}

export function tilesOf(raster: Raster, { longest, tile, splits }: TileRules): Tiles {
  const sized = longest === null ? raster : toLongest(raster, longest);
  if (!splits) return joined([resize(sized, tile, tile)], 0, 0);
  const whole = toMultiples(sized, tile);
  const [rows, columns] = [whole.height / tile, whole.width / tile];
  if (rows === 1 && columns === 1) return joined([whole], 0, 0);
  const parts = Array.from({ length: rows * columns }, (_, i) =>
    cut(whole, i % columns, Math.floor(i / columns), tile),
  );
  return joined([...parts, resize(whole, tile, tile)], rows, columns);
}

/** The longer side becomes `longest`, the other keeps the shape and is even. */
function toLongest({ width, height, ...rest }: Raster, longest: number): Raster {
  const aspect = width / height;
  const even = (side: number): number => Math.max(1, side + (side % 2));
  const side = (pixels: number): number => even(Math.trunc(pixels));
  const [wide, high] = width >= height ? [longest, side(longest / aspect)] : [side(longest * aspect), longest];
  const most = bounded(wide, high);
  return resize({ width, height, ...rest }, most.width, most.height);
}

function bounded(width: number, height: number): { width: number; height: number } {
  const aspect = width / height;
  if (width >= height && width > MOST_SIDE)
    return { width: MOST_SIDE, height: Math.max(1, Math.trunc(MOST_SIDE / aspect)) };
  if (height > width && height > MOST_SIDE)
    return { width: Math.max(1, Math.trunc(MOST_SIDE * aspect)), height: MOST_SIDE };
  return { width, height };
}

/** Both sides become multiples of a tile's: the longer one upwards, the other as the shape says, then upwards. */
function toMultiples(raster: Raster, tile: number): Raster {
  const { width, height } = raster;
  const aspect = width / height;
  const up = (side: number): number => Math.ceil(side / tile) * tile;
  if (width >= height) return resize(raster, up(width), up(Math.trunc(up(width) / aspect)));
  return resize(raster, up(Math.trunc(up(height) * aspect)), up(height));
}

function cut({ width, data }: Raster, column: number, row: number, tile: number): Raster {
  const part = new Uint8ClampedArray(4 * tile * tile);
  for (let y = 0; y < tile; y++) {
    const from = 4 * ((row * tile + y) * width + column * tile);
    part.set(data.subarray(from, from + 4 * tile), 4 * y * tile);
  }
  return { width: tile, height: tile, data: part };
}

function joined(parts: readonly Raster[], rows: number, columns: number): Tiles {
  const each = parts[0]!.width * parts[0]!.height;
  const pixels = new Uint32Array(parts.length * each);
  const bytes = new Uint8ClampedArray(pixels.buffer);
  for (const [i, { data }] of parts.entries()) bytes.set(data, 4 * i * each);
  return { rows, columns, pixels, tiles: parts.map((_, i) => pixels.subarray(i * each, (i + 1) * each)) };
}

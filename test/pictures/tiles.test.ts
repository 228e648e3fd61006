// What the processor makes of pictures, byte by byte.
import { createHash } from "node:crypto";
import { expect, test } from "playwright/test";
import { marksOf } from "../../src/chat/pictures.ts";
import { type Raster, rasterOf } from "../../src/pictures/raster.ts";
import { resize } from "../../src/pictures/resize.ts";
import { rulesOf, tilesOf } from "../../src/pictures/tiles.ts";
import { fixture, pixelsOf } from "../golden/vision.ts";

const TILE = 16;

const noise = (width: number, height: number): Promise<Raster> =>
  rasterOf({ width, height, data: pixelsOf({ name: `${width} ${height}`, width, height }) });

/** Red, green and blue of each pixel. */
const coloursOf = (pixels: Uint32Array): Uint8Array =>
  Uint8Array.from({ length: 3 * pixels.length }, (_, i) => pixels[Math.floor(i / 3)]! >>> (8 * (i % 3)));

test("tiles are those of transformers' processor with Pillow, to the byte", async () => {
  for (const { setting, width, height, ...want } of fixture.resized) {
    const made = tilesOf(await noise(width, height), rulesOf(fixture.settings[setting]!, TILE));
    const sha256 = createHash("sha256").update(coloursOf(made.pixels)).digest("hex");
    const got = { rows: made.rows, columns: made.columns, tiles: made.tiles.length, sha256 };
    expect(got, `${setting}, ${width} × ${height}`).toEqual(want);
  }
});

test("no side becomes longer than 4096 pixels, and none shorter than one", () => {
  const rules = rulesOf({ size: { longest_edge: 5000 } }, 1024);
  const narrow: Raster = { width: 900, height: 1, data: new Uint8ClampedArray(3600) };
  const { rows, columns, tiles } = tilesOf(narrow, rules);
  expect([rows, columns, tiles.length]).toEqual([1, 4, 5]);
});

test("a picture in its own size is itself; one of one colour stays so", () => {
  const data = Uint8ClampedArray.from({ length: 4 * 35 }, (_, i) => [200, 3, 99, 255][i % 4]!);
  const plain: Raster = { width: 7, height: 5, data };
  expect(resize(plain, 7, 5).data).toBe(data);
  expect(new Set(resize(plain, 19, 3).data)).toEqual(new Set([200, 3, 99, 255]));
});

test("marks of pictures are those of the processor", () => {
  const seen = "<image>".repeat(2);
  const around = "<fake_token_around_image>";
  expect(marksOf({ rows: 0, columns: 0 }, 2)).toBe(`${around}<global-img>${seen}${around}`);
  expect(marksOf({ rows: 2, columns: 1 }, 2)).toBe(
    `${around}<row_1_col_1>${seen}\n${around}<row_2_col_1>${seen}\n\n${around}<global-img>${seen}${around}`,
  );
});

test("pixels of three bytes or four; transparent ones are on white; others are refused", async () => {
  const four = await rasterOf({ width: 2, height: 1, data: Uint8Array.of(10, 20, 30, 255, 10, 20, 30, 0) });
  expect([...four.data]).toEqual([10, 20, 30, 255, 255, 255, 255, 255]);
  const three = await rasterOf({ width: 1, height: 1, data: Uint8Array.of(1, 2, 3) });
  expect([...three.data]).toEqual([1, 2, 3, 255]);
  await expect(rasterOf({ width: 2, height: 2, data: new Uint8Array(9) })).rejects.toThrow(
    "image: got 2 × 2 pixels in 9 bytes, want 3 or 4 bytes a pixel.",
  );
  await expect(rasterOf("cat.png")).rejects.toThrow('image: got "cat.png", want an absolute URL or a data URL.');
  await expect(rasterOf(7 as never)).rejects.toThrow("image: got 7, want a Blob");
});

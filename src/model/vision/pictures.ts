// Rows of pictures among those of texts. In a prompt a row of a picture is a token beyond the vocabulary: V + number·T + row,
// T rows to a tile; tiles have numbers by what they show, so the tree of prompts tells pictures apart as it does words. A few
// tiles are on the GPU at a time, in a table like that of embeddings; a tile is encoded when a step first has rows of it.
import type { Gpu } from "../../gpu/device.ts";
import type { Bindable } from "../../gpu/kernel.ts";
import { embed } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { alignUp, assert } from "../../errors.ts";
import type { VisionConfig } from "../families/vision.ts";
import type { Picture, Row } from "../model.ts";
import type { Sizes } from "../ops/sizes.ts";
import type { Variants } from "../ops/variants.ts";
import type { Matrix } from "../weights/matrix.ts";
import { VisionTower } from "./tower.ts";
import type { VisionWeights } from "./weights.ts";

/** Columns of a matrix are padded to a multiple of so many. */
const COLUMN_ALIGN = 16;

interface Parts {
  gpu: Gpu;
  config: VisionConfig;
  weights: VisionWeights;
  variants: Variants;
  /** V, and D of the language model. */
  vocabulary: number;
  width: number;
  /** Rows of a step, at most. */
  rows: number;
}

export class PictureRows {
  readonly #parts: Parts;
  /** [D, places·T]: rows of pictures as columns */
  readonly #table: Matrix;
  /** [places] number of the tile whose rows are there; the one that was wanted longest ago comes first. */
  readonly #places = new Map<number, number>();
  readonly #count: number;
  #tower: Promise<VisionTower> | null = null;

  constructor(parts: Parts) {
    const { config, rows } = parts;
    this.#parts = parts;
    this.#count = Math.ceil(rows / config.tileTokens) + 1; // a step's rows may begin and end within a tile
    this.#table = tableOf(parts, this.#count * config.tileTokens);
  }

  /** Makes what encodes. */
  build(): Promise<VisionTower> {
    return (this.#tower ??= VisionTower.build(this.#parts, this.#table).catch((error: unknown) => {
      this.#tower = null; // there may be memory another time
      throw error;
    }));
  }

  /** Whether some row is one of a picture. */
  has(rows: readonly Row[]): boolean {
    return rows.some(({ token }) => token >= this.#parts.vocabulary);
  }

  /** What writes rows of pictures over what `embed` made of them. */
  embed(rows: Bindable, tokens: GPUBuffer, hidden: GPUBuffer): AnyDispatch<Sizes> {
    const { columns, depth: D, bits, group, pieces } = this.#table;
    const { stride, words, scales } = pieces[0]!;
    const { vocabulary: first } = this.#parts;
    return dispatch({
      kernel: embed,
      constants: { BITS: bits, GROUP: group, D },
      label: "embed pictures",
      buffers: { rows, tokens, words, scales, hidden },
      params: (s: Sizes) => ({ rows: s.rows, stride, vocabulary: first + columns, first, columns, scale: 1 }),
      grid: (s) => [s.pictured ? s.rows : 0, 1, 1],
      bytes: (s) => 8 * s.rows * D,
      flops: () => 0,
    });
  }

  /** Encodes the tiles of which the step has rows and the table has none. */
  async bring(rows: readonly Row[], pictures: readonly Picture[]): Promise<void> {
    if (!this.has(rows)) return;
    const tower = await this.build();
    const wanted = new Set(
      rows.filter(({ token }) => token >= this.#parts.vocabulary).map(({ token }) => this.#tileOf(token)),
    );
    assert(wanted.size <= this.#count, `${wanted.size} tiles in a step with room for ${this.#count}`);
    for (const tile of wanted) this.#touch(tile);
    for (const tile of wanted) {
      if (this.#places.has(tile)) continue;
      const place = this.#makeRoom(wanted);
      tower.encode(pixelsOf(tile, pictures), place * this.#parts.config.tileTokens);
      this.#places.set(tile, place);
    }
  }

  /** What stands for a token in a row's record: of a picture's, the column of the table. */
  idOf(token: number): number {
    const { vocabulary, config } = this.#parts;
    if (token < vocabulary) return token;
    const within = (token - vocabulary) % config.tileTokens;
    return vocabulary + this.#places.get(this.#tileOf(token))! * config.tileTokens + within;
  }

  #tileOf(token: number): number {
    return Math.floor((token - this.#parts.vocabulary) / this.#parts.config.tileTokens);
  }

  /** It is the one that was wanted last. */
  #touch(tile: number): void {
    const place = this.#places.get(tile);
    if (place === undefined) return;
    this.#places.delete(tile);
    this.#places.set(tile, place);
  }

  /** A free place, or that of the tile that was wanted longest ago. */
  #makeRoom(wanted: ReadonlySet<number>): number {
    if (this.#places.size < this.#count) return this.#places.size;
    const [oldest, place] = [...this.#places].find(([tile]) => !wanted.has(tile))!;
    this.#places.delete(oldest);
    return place;
  }
}

function pixelsOf(tile: number, pictures: readonly Picture[]): Uint32Array<ArrayBuffer> {
  const picture = pictures.find(({ first, tiles }) => first <= tile && tile < first + tiles.length);
  assert(picture, `tile ${tile} belongs to no picture of the request`);
  return picture.tiles[tile - picture.first]!;
}

function tableOf({ gpu, width: depth }: Parts, columns: number): Matrix {
  const stride = alignUp(columns, COLUMN_ALIGN);
  const words = gpu.buffer("rows of pictures", depth * stride * 4, "scratch");
  const pieces = [{ first: 0, stride, words, scales: gpu.unused }];
  return { name: "rows of pictures", bits: 32, group: 32, columns, depth, pieces };
}

// Pictures in prompts: each becomes the words and rows that the model was trained to see in its place.
import type { ChatPrompt, Message, PictureSource } from "../api.ts";
import { InputError } from "../errors.ts";
import type { Picture } from "../model/model.ts";
import { rasterOf } from "../pictures/raster.ts";
import { rulesOf, type TileRules, type Tiles, tilesOf } from "../pictures/tiles.ts";
import { type PictureReader, pictureOf, type SeenPrompt } from "./parts.ts";
import { type Language, render } from "./session.ts";

/** How the model sees. */
export interface Sight {
  rules: TileRules;
  /** T: rows of a tile. */
  tileTokens: number;
  /** The token that stands for a row in a text. */
  imageToken: number;
  /** V: from here on tokens are rows of pictures. */
  vocabulary: number;
}

/** What a model's files say of it. */
interface SightFacts extends Pick<Sight, "tileTokens" | "imageToken"> {
  patch: number;
  side: number;
}

export const sightOf = (
  { patch, side, tileTokens, imageToken }: SightFacts,
  preprocessor: Readonly<Record<string, unknown>>,
  vocabulary: number,
): Sight => ({ rules: rulesOf(preprocessor, patch * side), tileTokens, imageToken, vocabulary });

interface Numbered {
  tiles: Tiles;
  picture: Picture;
}

/** Token ids are 31 bits. */
const MOST_IDS = 2 ** 31;

export class Pictures implements PictureReader {
  readonly #language: Pick<Language, "tokenizer" | "template">;
  readonly #sight: Sight;
  /** Number of the first tile, by what the picture shows: what is seen again has the same tokens. */
  readonly #numbers = new Map<string, number>();
  #next = 0;

  constructor(language: Pick<Language, "tokenizer" | "template">, sight: Sight) {
    this.#language = language;
    this.#sight = sight;
  }

  /** Throws InputError for pictures that cannot be read, and for texts that write the marks of pictures themselves. */
  async read(prompt: ChatPrompt): Promise<SeenPrompt> {
    const numbered = await Promise.all(sourcesOf(prompt.messages).map((source) => this.#number(source)));
    const { tokenizer } = this.#language;
    const parts = render(this.#language, prompt).split(IMAGE);
    if (parts.length !== numbered.length + 1)
      throw new InputError(
        `messages: got ${parts.length - 1} times ${IMAGE} for ${numbered.length} pictures, want as many. Leave the mark out of texts; a template without it shows the model no picture.`,
        { code: "bad-prompt" },
      );
    const { tileTokens } = this.#sight;
    const whole = parts.reduce((before, part, i) => before + marksOf(numbered[i - 1]!.tiles, tileTokens) + part);
    const shown = tokenizer.encode(whole, { addSpecial: false });
    return { tokens: this.#place(shown, numbered), pictures: numbered.map(({ picture }) => picture), shown };
  }

  async #number(source: PictureSource): Promise<Numbered> {
    const tiles = tilesOf(await rasterOf(source), this.#sight.rules);
    const hash = `${tiles.rows}×${tiles.columns} ${await digest(tiles.pixels)}`;
    const first = this.#numbers.get(hash) ?? this.#next;
    if (first === this.#next) this.#next += tiles.tiles.length;
    const { vocabulary, tileTokens } = this.#sight;
    if (vocabulary + this.#next * tileTokens > MOST_IDS)
      throw new InputError("image: got more pictures than one engine can tell apart. Load the model again.");
    this.#numbers.set(hash, first);
    return { tiles, picture: { first, tiles: tiles.tiles } };
  }

  /** Rows of the pictures, in the places of the tokens that stand for them. */
  #place(tokens: readonly number[], numbered: readonly Numbered[]): number[] {
    const { vocabulary, tileTokens, imageToken } = this.#sight;
    const rows = numbered.flatMap(({ picture: { first, tiles } }) =>
      Array.from({ length: tiles.length * tileTokens }, (_, i) => vocabulary + first * tileTokens + i),
    );
    let next = 0;
    return tokens.map((token) => (token === imageToken ? rows[next++]! : token));
  }
}

const IMAGE = "<image>";
const AROUND = "<fake_token_around_image>";

/** What stands in a text for a picture, as the processors of Idefics3 and SmolVLM write it. */
export function marksOf({ rows, columns }: Pick<Tiles, "rows" | "columns">, tileTokens: number): string {
  const seen = IMAGE.repeat(tileTokens);
  const whole = `${AROUND}<global-img>${seen}${AROUND}`;
  if (rows === 0) return whole;
  const line = (row: number): string =>
    Array.from({ length: columns }, (_, column) => `${AROUND}<row_${row + 1}_col_${column + 1}>${seen}`).join("");
  return `${Array.from({ length: rows }, (_, row) => `${line(row)}\n`).join("")}\n${whole}`;
}

const sourcesOf = (messages: readonly Message[]): PictureSource[] =>
  messages.flatMap(({ content }) => (Array.isArray(content) ? content : []).flatMap((part) => pictureOf(part) ?? []));

async function digest(pixels: Uint32Array<ArrayBuffer>): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", pixels));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

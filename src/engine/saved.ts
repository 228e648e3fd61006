// What the cache holds of a text, out of one engine and into another one of the same model and recipe: what the tree has of it,
// and what a reply that was cut holds apart from the tree.
import { BLOCK_TOKENS } from "../kv/blocks.ts";
import { discard, fitsHoldings, type Holdings, holdingsOf, restoreHoldings } from "../kv/holdings.ts";
import type { Residence } from "../kv/residence.ts";
import type { PageBytes } from "../model/model.ts";
import type { CacheAccess, TokenEngine } from "./engine.ts";

/** What stands for one residence among saved bytes. Its tokens are the first of the text. */
export interface SavedPart extends Omit<Holdings, "tokens" | "blocks"> {
  tokens: number;
  /** It is apart from the tree: for a reply that goes on. */
  rests: boolean;
  bytes: number;
}

export const bytesOf = (parts: readonly SavedPart[]): number => parts.reduce((sum, { bytes }) => sum + bytes, 0);

/** Where saved bytes come from, in order. */
export interface SavedBytes {
  /** At most `most` of them, at least one, a multiple of 4. */
  next(most: number): Promise<Uint8Array<ArrayBuffer>>;
  /** So many are of no use. */
  skip(bytes: number): Promise<void>;
}

/** Takes what is saved. */
export type Keep = (parts: SavedPart[], bytes: AsyncIterable<Uint8Array<ArrayBuffer>>) => Promise<void>;

/** Stands after a text to ask the tree for all of it: the last token is never given back. */
const ANY = 0;

/**
 * Hands what the cache holds of `text` to `keep`, and what `rested` holds where that is still there; that alone, where what stays of
 * a prompt is for every text that begins so. Waits for its turn.
 */
export function saveCache(
  engine: TokenEngine,
  text: readonly number[],
  rested: Residence | null,
  keep: Keep,
): Promise<void> {
  return engine.onCache(async (access) => {
    const shared = access.residence();
    const length = rested && engine.keepsForAll ? rested.goesOn([...text, ANY]) : Infinity;
    const number = rested && length > 0 ? access.pages!.parked.numberOf(rested) : null;
    const isAll = number !== null && engine.keepsForAll;
    try {
      if (isAll) rested!.cutTo(length);
      else shared.adopt([], [...text, ANY]);
      const found = isAll ? [] : [await foundIn(access, shared, null)];
      if (number !== null) found.push(await foundIn(access, rested!, number));
      await keep(
        found.map(({ part }) => part),
        allOf(found.map(({ pages }) => pages)),
      );
    } finally {
      shared.dispose();
    }
  });
}

async function foundIn({ model, pool }: CacheAccess, residence: Residence, number: number | null) {
  const holdings = holdingsOf(residence, pool);
  const pages = await model.pages(holdings, number);
  const { blocks: _, tokens, ...rest } = holdings;
  const part: SavedPart = { ...rest, tokens: tokens.length, rests: number !== null, bytes: pages.bytes };
  return { part, pages };
}

async function* allOf(pages: readonly PageBytes[]): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for (const each of pages) yield* each.read();
}

/**
 * Puts saved parts back: where prompts find them, and one apart from the tree under a number of its own. Returns that one; null
 * where there is none. What there is no room for is left out. What rested before is given up. Waits for its turn.
 */
export function restoreCache(
  engine: TokenEngine,
  text: readonly number[],
  parts: readonly SavedPart[],
  from: SavedBytes,
): Promise<Residence | null> {
  return engine.onCache(async (access) => {
    access.pages?.parked.clear();
    let rested: Residence | null = null;
    for (const part of parts) rested = (await restorePart(access, text.slice(0, part.tokens), part, from)) ?? rested;
    return rested;
  });
}

/** Under which a restored reply rests: no sequence runs. */
const NUMBER = 0;

async function restorePart(
  access: CacheAccess,
  tokens: readonly number[],
  part: SavedPart,
  from: SavedBytes,
): Promise<Residence | null> {
  const residence = access.residence();
  const saved: Holdings = { ...part, tokens, blocks: [] };
  if (part.rests) access.pages!.standing?.clear();
  else adoptWhole(residence, tokens);
  if (residence.length === tokens.length || !fitsHoldings(residence, access.pool, saved)) {
    residence.dispose();
    await from.skip(part.bytes);
    return null;
  }
  try {
    const pages = await access.model.pages(restoreHoldings(residence, access.pool, saved), part.rests ? NUMBER : null);
    await from.skip(part.bytes - pages.bytes); // of blocks that are there
    await pages.write((most) => from.next(most));
  } catch (error) {
    discard(residence, access.pool);
    throw error;
  }
  if (part.rests) access.pages!.parked.put(NUMBER, residence);
  else residence.dispose();
  return part.rests ? residence : null;
}

/** What the tree holds of it: all, or whole blocks. Two paths of the same tokens would hide what follows one of them. */
function adoptWhole(residence: Residence, tokens: readonly number[]): void {
  const found = residence.adopt([], [...tokens, ANY]);
  if (found === tokens.length) return;
  residence.dispose();
  residence.adopt([], [...tokens.slice(0, found - (found % BLOCK_TOKENS)), ANY]);
}

// What changes from step to step, worked out from its batch.
import { assert } from "../errors.ts";
import { BLOCK_TOKENS } from "../kv/blocks.ts";
import type { KvCache } from "../kv/cache.ts";
import { windowRowsOf } from "../kv/shape.ts";
import type { PromptEndSizes, RepeatedSizes } from "../kv/system.ts";
import { splitsFor } from "./layer/splits.ts";
import type { ModelContext } from "./context.ts";
import type { Batch, Row } from "./model.ts";
import { isNarrow, type RowClass } from "./ops/rowclass.ts";
import type { Sizes } from "./ops/sizes.ts";

/** Workgroups that share the lists of one row of a chunk, at most: there are many rows. */
export const MOST_CHUNK_SPLITS = 4;

/** Row classes of a step's programs. */
interface Classes {
  all: RowClass;
  upper: RowClass;
}

/**
 * Rows that go past the boundary: those whose logits are wanted, and at a prompt's end the last rows of its chunk, or those that
 * repeat it, whose queries say what stays. Ascending. Where bringing them to the front would write over others, all rows continue.
 */
export function continuingRows(batch: Batch, windowRows: number): number[] {
  const { rows, decodeRows, logitRows, made } = batch;
  const deciding = batch.repeated ?? batch.promptEnd;
  const wanted = logitRows.map(({ row }) => row);
  const last = rows.length - 1; // of a chunk with whose end layers past the boundary have something to do
  if (!deciding || windowRows <= 1) return (deciding || made) && !wanted.includes(last) ? [...wanted, last] : wanted;
  const tail = Math.min(windowRows, deciding.rows);
  const continuing = [...Array(decodeRows).keys(), ...Array.from({ length: tail }, (_, i) => rows.length - tail + i)];
  return rows.length - tail < continuing.length ? [...rows.keys()] : continuing;
}

export function sizesOf(model: ModelContext, batch: Batch, most: RowClass): Sizes {
  const { rows, decodeRows, logitRows, promptEnd } = batch;
  const alone = isNarrow(most) ? rows : rows.slice(0, decodeRows);
  return {
    ...listSizes(model, rows, alone),
    rows: rows.length,
    logitCount: logitRows.length,
    wantedFirst: isWantedFirst(logitRows),
    decodeRows,
    inPlace: rows.length,
    queried: false,
    made: null,
    ...(model.pictures?.has(rows) && { pictured: true }),
    attended: isAttended(batch),
    promptEnd: promptEnd && endSizes(promptEnd, rows.length, model, rows),
    repeated: repeatedSizes(batch, rows.length),
    retiring: retiringSizes(batch),
  };
}

/**
 * Past the boundary. Where all rows lie in front already, they are what the step is (a decoding batch, or a text being
 * scored); else each looks at its own pages alone.
 */
export function upperSizesOf(
  model: ModelContext,
  batch: Batch,
  continuing: readonly number[],
  classes: Classes,
): Sizes {
  const { rows, decodeRows, logitRows, promptEnd, made = null } = batch;
  const moved = continuing.findIndex((row, i) => row !== i);
  const count = continuing.length;
  const inPlace = moved < 0 ? count : moved;
  assert(
    continuing.slice(inPlace).every((row) => row >= count),
    "a row that moves to the front lies where another one goes to",
  );
  const own = moved < 0 ? Math.min(decodeRows, count) : count;
  const kept = continuing.map((row) => rows[row]!);
  return {
    ...listSizes(model, kept, isNarrow(classes.upper) ? kept : kept.slice(0, own)),
    rows: count,
    logitCount: logitRows.length,
    wantedFirst: isWantedFirst(logitRows),
    decodeRows: own,
    inPlace,
    queried: moved < 0 && isNarrow(classes.all),
    made,
    attended: isAttended(batch),
    promptEnd: promptEnd && endSizes(promptEnd, count, model, rows),
    repeated: repeatedSizes(batch, count),
    retiring: retiringSizes(batch),
  };
}

/** A chunk of so many rows at the end of so many tokens, of a prompt that goes on. */
export function plainSizes({ profile, cache, config }: ModelContext, rows: number, context: number): Sizes {
  return {
    rows,
    logitCount: 1,
    wantedFirst: false,
    decodeRows: 0,
    ...splitsFor(profile, config.kvHeads, Math.ceil(context / BLOCK_TOKENS)),
    chunkSplits: 1,
    arenas: cache.usedArenas([0]),
    pagesGivenUp: 0,
    inPlace: rows,
    queried: false,
    promptEnd: null,
    retiring: null,
    made: null,
  };
}

/** Those that continue past the boundary keep their order, so this holds there, too. */
const isWantedFirst = (logitRows: Batch["logitRows"]): boolean => logitRows.every(({ row }, i) => row === i);

/** Whether a row that decodes belongs to a sequence whose reading is counted. */
const isAttended = ({ rows, decodeRows, attended = [] }: Batch): boolean =>
  rows.slice(0, decodeRows).some(({ sequence }) => attended.includes(sequence));

/** `alone`: rows that each read lists of their own. */
function listSizes(
  { cache, config, profile }: ModelContext,
  rows: readonly Row[],
  alone: readonly Row[],
): Pick<Sizes, "splits" | "pagesPerSplit" | "chunkSplits" | "arenas" | "pagesGivenUp"> {
  const sequences = rows.map(({ sequence }) => sequence);
  const arenas = cache.usedArenas(sequences);
  const pagesGivenUp = Math.max(...sequences.map((sequence) => cache.pagesGivenUp(sequence)));
  const readers = alone.length > 0 ? alone : rows.slice(-1);
  const splitting = splitsFor(profile, config.kvHeads * readers.length, mostPages(cache, readers));
  return { arenas, pagesGivenUp, ...splitting, chunkSplits: Math.min(MOST_CHUNK_SPLITS, splitting.splits) };
}

/** Of `count` rows, those that repeat are the last. */
const repeatedSizes = ({ repeated = null }: Batch, count: number): RepeatedSizes | null =>
  repeated && { ...repeated, rowAt: count - repeated.rows };

const retiringSizes = ({ retiring }: Batch): Sizes["retiring"] =>
  retiring && { sequence: retiring.sequence, page: retiring.index, region: retiring.region };

/** Pages of the longest list that these rows read. */
const mostPages = (cache: KvCache, rows: readonly Row[]): number =>
  rows.reduce((most, { sequence, cacheIndex }) => Math.max(most, cache.longestList(sequence, cacheIndex + 1)), 1);

function endSizes(
  { sequence, tokens, rows, kept, decide, more = false }: NonNullable<Batch["promptEnd"]>,
  count: number,
  { systems, cache, pictures }: ModelContext,
  all: readonly Row[],
): PromptEndSizes {
  const windowRows = Math.min(windowRowsOf(systems), rows);
  const behind = all.toReversed().findIndex((row) => pictures?.has([row]));
  const isTogether = systems.some(({ retaining }) => retaining?.together);
  return {
    ...(isTogether && { decide: (each: readonly number[]) => cache.prepareKept(decide!(each)) }),
    question: behind > 0 ? Math.min(behind, windowRows) : windowRows,
    sequence,
    tokens,
    rows,
    more,
    kept: Math.max(...kept.tokens),
    region: kept.region,
    standing: kept.standing * BLOCK_TOKENS,
    windowAt: count - windowRows,
    windowRows,
  };
}

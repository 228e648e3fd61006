// Attention over pages that keep keys and values in another basis: queries are brought there, and results back.
import type { AnyDispatch } from "../../gpu/program.ts";
import type { Arena } from "../../kv/arena.ts";
import type { Basis, ReadFormat } from "../../kv/format.ts";
import type { ModelContext } from "../context.ts";
import type { Sizes } from "../ops/sizes.ts";
import type { Readers, Splitting } from "./partials.ts";

/** The sealed pages that rows read. */
interface Sealed {
  format: ReadFormat;
  sealed: readonly Arena[];
  splitting: Splitting;
}

/** `attend` for every arena; where the format has a basis, with `turnedQuery` written before and the partials turned after it. */
export function inBasis(
  model: ModelContext,
  layer: number,
  readers: Readers,
  { format: { basis }, sealed, splitting }: Sealed,
  attend: (arena: Arena) => AnyDispatch<Sizes>,
): AnyDispatch<Sizes>[] {
  if (!basis) return sealed.map(attend);
  return [
    turnQueries(model, layer, readers, sealed, basis),
    ...sealed.flatMap((arena) => [attend(arena), turnPartials(model, layer, readers, arena, splitting, basis)]),
  ];
}

const reads = ({ arenas }: Sizes, sealed: readonly Arena[]): boolean =>
  sealed.some(({ number }) => arenas.includes(number));

function turnQueries(
  { activations, config }: ModelContext,
  layer: number,
  { count, firstRow }: Readers,
  sealed: readonly Arena[],
  basis: Basis,
): AnyDispatch<Sizes> {
  const { heads: H, headWidth: E } = config;
  return {
    kernel: basis.query,
    constants: basis.constants(E, H),
    label: `layer ${layer} turn queries`,
    buffers: { query: activations.query, turned_query: activations.turnedQuery },
    params: (s) => ({ firstRow: firstRow(s) }),
    grid: (s) => (reads(s, sealed) ? [H, count(s), 1] : [0, 0, 0]),
    bytes: (s) => 8 * count(s) * H * E,
    flops: (s) => count(s) * H * E * Math.log2(E),
  };
}

function turnPartials(
  { activations, config }: ModelContext,
  layer: number,
  { count, entries, entry }: Readers,
  arena: Arena,
  splitting: Splitting,
  basis: Basis,
): AnyDispatch<Sizes> {
  const { heads: H, headWidth: E } = config;
  const values = (s: Sizes) => count(s) * H * splitting(s).splits * E;
  return {
    kernel: basis.partials,
    constants: basis.constants(E, H),
    label: `layer ${layer} turn back`,
    buffers: { partials: activations.partials },
    params: (s) => ({ entries: entries(s), entry: entry(s, arena) }),
    grid: (s) => (reads(s, [arena]) ? [H, splitting(s).splits, count(s)] : [0, 0, 0]),
    bytes: (s) => 8 * values(s),
    flops: (s) => values(s) * Math.log2(E),
  };
}

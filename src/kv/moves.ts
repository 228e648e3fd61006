// At the end of a prompt of which a part is kept: its move to private pages, whatever the system that chose it.
import { compact } from "../gpu/kernels.gen.ts";
import type { AnyDispatch } from "../gpu/program.ts";
import { BLOCK_TOKENS, blocksFor } from "./blocks.ts";
import { isSealed, type PageFormat, type WrittenFormat } from "./format.ts";
import { columnOf } from "./layout.ts";
import type { StepSizes, SystemContext } from "./system.ts";

/** One dispatch per arena that holds tokens of whole prompts. */
export function keptMoves(
  { gpu, cache, model, keep, keepStride }: SystemContext,
  store: number,
): AnyDispatch<StepSizes>[] {
  const { lists, choices } = cache;
  const privateArena = cache.privatePages!.arena;
  const bundle = cache.bundleOf(store);
  const { kvHeads, headWidth } = model;
  return cache.writtenArenasOf(store).map((from): AnyDispatch<StepSizes> => ({
    ...mover(privateArena.format, headWidth, cache.written),
    label: `store ${store} keep`,
    buffers: {
      table: lists.table,
      keep,
      source: from.buffers[bundle]!,
      choices: choices?.buffer ?? gpu.unused,
      destination: privateArena.buffers[bundle]!,
    },
    params: ({ promptEnd }: StepSizes) => ({
      listLength: lists.listLength,
      columns: cache.columns,
      column: columnOf(store, kvHeads),
      row: promptEnd?.sequence ?? 0,
      preparedRow: cache.preparedSequence,
      arena: from.number,
      keepStride,
    }),
    grid: ({ promptEnd }: StepSizes) => [kvHeads, BLOCK_TOKENS, blocksFor(promptEnd?.kept ?? 0)],
    bytes: ({ promptEnd }: StepSizes) => 2 * kvHeads * blocksFor(promptEnd?.kept ?? 0) * from.pageWords * 4,
    flops: () => 0,
  }));
}

/** The kernel that moves, and its constants. */
function mover(format: PageFormat, headWidth: number, written: WrittenFormat) {
  if (!isSealed(format)) return { kernel: compact, constants: { E: headWidth, KV_BITS: written.bits } };
  const { WG: _, ...constants } = format.sealConstants(headWidth, written, 0);
  return { kernel: format.gather!, constants };
}

// A system for tests that evicts by a fixed rule: at the end of a prompt each list keeps tokens that lie evenly spread over
// the pages it gives up, another number in every layer and head, in private pages.
import { ceilDiv } from "../../../src/errors.ts";
import type { KernelSource } from "../../../src/gpu/kernel.ts";
import { type AnyDispatch, dispatch } from "../../../src/gpu/program.ts";
import { BLOCK_TOKENS } from "../../../src/kv/blocks.ts";
import { columnOf } from "../../../src/kv/layout.ts";
import { defineSystem } from "../../../src/kv/parse.ts";
import type { StepSizes, SystemContext } from "../../../src/kv/system.ts";
import { countOf, liveFromOf } from "./rule.ts";

const code = `// strided_keep — keep[column, j] = slot of the j-th of count tokens, spread evenly over so many slots
struct Params { column: u32, keepStride: u32, slots: u32, first: u32, fewer: u32 }
@group(0) @binding(0) var<storage, read_write> keep: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
@compute @workgroup_size(32)
fn strided_keep(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let j = wg.y * 32u + local;
  let count = min(params.slots, params.first - params.fewer * wg.x);
  if (j < count) { keep[(params.column + wg.x) * params.keepStride + j] = j * params.slots / count; }
}
`;

const u32 = (offset: number) => ({ offset, type: "u32" });
const stridedKeep = {
  name: "strided_keep",
  bindings: { keep: { binding: 0, type: "storage" } },
  params: {
    binding: 1,
    size: 20,
    fields: { column: u32(0), keepStride: u32(4), slots: u32(8), first: u32(12), fewer: u32(16) },
  },
  overrides: {},
  tiles: {},
  features: [],
  code,
} as const satisfies KernelSource;

function select(budget: number, store: number, context: SystemContext): AnyDispatch<StepSizes>[] {
  const { kvHeads } = context.model;
  return [
    dispatch({
      kernel: stridedKeep,
      constants: {},
      label: `store ${store} strided`,
      buffers: { keep: context.keep },
      params: ({ promptEnd }: StepSizes) => ({
        column: columnOf(store, kvHeads),
        keepStride: context.keepStride,
        slots: liveFromOf(promptEnd?.tokens ?? 0) * BLOCK_TOKENS,
        first: countOf(budget, store, 0, Infinity),
        fewer: countOf(budget, store, 0, Infinity) - countOf(budget, store, 1, Infinity),
      }),
      grid: () => [kvHeads, ceilDiv(context.keepStride, 32), 1],
      bytes: () => 4 * kvHeads * context.keepStride,
      flops: () => 0,
    }),
  ];
}

defineSystem({
  name: "strided",
  options: { budget: { least: 16, most: 1024, default: 24 }, window: { least: 0, most: 64, default: 0 } },
  create({ budget, window }, { kvHeads }, _, { stores }) {
    const lists = Array.from({ length: stores * kvHeads }, (_, i) => [Math.floor(i / kvHeads), i % kvHeads] as const);
    return {
      name: "strided",
      retaining: {
        windowRows: window!,
        most: Array.from({ length: stores }, (_, store) => countOf(budget!, store, 0, Infinity)),
        retain(tokens) {
          const liveFrom = liveFromOf(tokens);
          if (liveFrom === 0) return null;
          const slots = liveFrom * BLOCK_TOKENS;
          return { liveFrom, tokens: lists.map(([store, head]) => countOf(budget!, store, head, slots)) };
        },
        select: (store, context) => select(budget!, store, context),
      },
    };
  },
});

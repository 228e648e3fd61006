import { think_keep } from "../../../src/gpu/kernels.gen.ts";
import { pageWords } from "../attn_case.ts";
import { random, spec } from "../spec.ts";
import { drawChannels, narrowed, packChannels, partsOfThink, placesOfSlot, type ThinkShape } from "../think_page.ts";
import { compactCase } from "./compact.ts";

/** What `compact` moves, into narrower pages; the lists' channels differ. */
function make(seed: number, tiny = false) {
  const uniform = random(9000 + seed);
  const { moves, ...base } = compactCase(seed, { tiny, mayStay: false });
  const { E, KV_BITS } = base.constants;
  const shape: ThinkShape = { E, KV_BITS, KEYS: 4 * Math.ceil(E / 9) };
  const { columns, column, row, preparedRow, listLength } = base.params;
  const [G, , keptPages] = base.grid;
  const { table, source } = base.buffers;
  const lists = Array.from({ length: (row + 1) * columns }, () => drawChannels(uniform, shape));
  const destination = base.buffers.destination.slice();
  const want = destination.slice();
  const listed = partsOfThink(shape).keys + partsOfThink(shape).rest;
  for (let g = 0; g < G; g++) {
    for (let i = 0; i < keptPages; i++) {
      const entry = (at: number) => table[((preparedRow * listLength + at) * columns + column + g) * 4]!;
      if (i < entry(0)) want.set(packChannels(lists[row * columns + column + g]!), entry(1 + i) + listed);
    }
  }
  for (const move of moves) {
    const page = source.subarray(move.from.page, move.from.page + pageWords(shape));
    const narrow = narrowed(shape, page, lists[row * columns + move.column]!);
    const places = placesOfSlot(shape, move.to.slot);
    for (const [i, at] of placesOfSlot(shape, move.from.slot).entries()) want[move.to.page + places[i]!] = narrow[at]!;
  }
  return {
    ...base,
    label: `${base.label} keys ${shape.KEYS}`,
    constants: shape,
    buffers: {
      ...base.buffers,
      choices: Uint32Array.from(lists.flatMap((own) => [...packChannels(own)])),
      destination,
    },
    want: { destination: want },
  };
}

export default spec({
  kernel: think_keep,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(2, true),
  mutants: [
    ["another sequence's lists", "params.row * params.listLength", "0u * params.listLength"],
    ["beyond the kept tokens", "if (((page.y >> slot) & 1u) == 0u) { return; }", ""],
    ["another sequence's channels", "let own = params.row * params.columns + column;", "let own = column;"],
  ],
});

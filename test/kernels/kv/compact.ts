import { compact } from "../../../src/gpu/kernels.gen.ts";
import { pageWords, pairAt, place } from "../attn_case.ts";
import { pick, random, spec } from "../spec.ts";

const SHAPES = [
  [64, 16],
  [8, 32],
  [72, 8],
  [48, 4],
  [128, 16],
] as const;

/** Words of a slot, from its page's start: K, then V, then the pairs. */
function wordsOf(E: number, KV_BITS: number, slot: number): number[] {
  const perWord = 32 / KV_BITS;
  const words = (["k", "v"] as const).flatMap((kind) =>
    Array.from({ length: E / perWord }, (_, w) => place({ E, KV_BITS }, kind, slot, w * perWord).word),
  );
  return KV_BITS > 8 ? words : [...words, pairAt({ E, KV_BITS }, "k", slot), pairAt({ E, KV_BITS }, "v", slot)];
}

const STAYS = 0xffffffff;

/** A token of a list that goes to a slot of another page. */
interface Move {
  column: number;
  from: { page: number; slot: number };
  to: { page: number; slot: number };
}

/** Two sequences' lists and a prepared row, two arenas; each list keeps another number of tokens. `mayStay`: some slots hold theirs. */
export function compactCase(seed: number, { tiny = false, mayStay = true } = {}) {
  const uniform = random(seed);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const [E, KV_BITS] = tiny ? ([8, 16] as const) : SHAPES[seed % SHAPES.length]!;
  const G = tiny ? 1 : pick(uniform, [1, 2, 3]);
  const words = pageWords({ E, KV_BITS });
  const pages = tiny ? 2 : 1 + upTo(4);
  const [column, listLength] = [pick(uniform, [0, 2]), 1 + pages + upTo(2)];
  const columns = seed % 7 === 0 ? 32 : column + G + upTo(2); // 32: what stays would be read as the list's head
  const [row, preparedRow, arena] = [upTo(2), 2, upTo(2)];
  const table = new Uint32Array(3 * listLength * columns * 4).fill(0xfffffff0);
  const entry = (line: number, at: number, head: number, value: number[]) =>
    table.set(value, ((line * listLength + at) * columns + column + head) * 4);
  const from = Uint32Array.from({ length: (G * pages + 1) * words }, () => upTo(2 ** 32));
  const keepStride = 4 + upTo(tiny ? 2 : 60);
  const keep = new Uint32Array(columns * keepStride);
  const keptPages = Math.ceil(keepStride / 32);
  const to = new Uint32Array(G * keptPages * words).fill(0xdeadbeef);
  const want = to.slice();
  const moves: Move[] = [];
  for (let head = 0; head < G; head++) {
    entry(row, 0, head, [0, 0, 0, 0]);
    const arenas = Array.from({ length: pages }, (_, i) => {
      const own = uniform() < 0.7 ? arena : 1 - arena;
      entry(row, 1 + i, head, [(head * pages + i) * words, 0xffffffff, own, 32 * i]);
      return own;
    });
    const kept = Math.min(upTo(keepStride + 1), 32 * pages);
    entry(preparedRow, 0, head, [Math.ceil(kept / 32), pages, 0, 0]);
    for (let i = 0; i * 32 < kept; i++) {
      const mask = kept - i * 32 >= 32 ? 0xffffffff : 2 ** (kept - i * 32) - 1;
      entry(preparedRow, 1 + i, head, [(head * keptPages + i) * words, mask, 7, 0]);
    }
    const stays = mayStay ? pick(uniform, [0, 0, 0.5]) : 0; // share of the slots that hold what they are to hold
    for (let j = 0; j < kept; j++) {
      const slot = Math.floor((j * 32 * pages) / kept);
      const isThere = uniform() < stays;
      keep[(column + head) * keepStride + j] = isThere ? STAYS : slot;
      if (isThere) continue;
      if (arenas[Math.floor(slot / 32)] !== arena) continue;
      const source = (head * pages + Math.floor(slot / 32)) * words;
      const target = (head * keptPages + Math.floor(j / 32)) * words;
      moves.push({
        column: column + head,
        from: { page: source, slot: slot % 32 },
        to: { page: target, slot: j % 32 },
      });
      const places = wordsOf(E, KV_BITS, j % 32);
      for (const [i, word] of wordsOf(E, KV_BITS, slot % 32).entries())
        want[target + places[i]!] = from[source + word]!;
    }
  }
  return {
    label: `G ${G} E ${E} bits ${KV_BITS} pages ${pages} keepStride ${keepStride}`,
    constants: { E, KV_BITS },
    params: { listLength, columns, column, row, preparedRow, arena, keepStride },
    grid: [G, 32, keptPages] as const,
    buffers: { table, keep, source: from, destination: to },
    want: { destination: want },
    terms: 1,
    moves,
  };
}

function make(seed: number, tiny = false) {
  const { moves: _, ...made } = compactCase(seed, { tiny });
  return made;
}

export default spec({
  kernel: compact,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(2, true),
  mutants: [
    ["another sequence's lists", "params.row * params.listLength", "0u * params.listLength"],
    ["beyond the kept tokens", "if (((page.y >> slot) & 1u) == 0u) { return; }", ""],
    ["what stays is written over", "if (kept == STAYS) { return; }", ""],
    ["another arena's words", "if (origin.z != params.arena) { return; }", ""],
    [
      "keys as values",
      "source[slot_at(origin.x, kept % 32u, false) + 8u * w]",
      "source[slot_at(origin.x, kept % 32u, true) + w]",
    ],
  ],
});

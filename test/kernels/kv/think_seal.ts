import { think_seal } from "../../../src/gpu/kernels.gen.ts";
import { pageWords } from "../attn_case.ts";
import { pick, random, spec } from "../spec.ts";
import { drawChannels, narrowed, packChannels, partsOfThink, type ThinkShape, wordsOfThink } from "../think_page.ts";

const SHAPES: readonly ThinkShape[] = [
  { E: 64, KEYS: 40, KV_BITS: 16 },
  { E: 64, KEYS: 44, KV_BITS: 4 },
  { E: 24, KEYS: 12, KV_BITS: 32 },
  { E: 80, KEYS: 52, KV_BITS: 8 },
  { E: 256, KEYS: 156, KV_BITS: 16 },
  { E: 32, KEYS: 32, KV_BITS: 8 },
];

/** Pages of several lists, whose channels differ. */
function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const shape: ThinkShape = tiny ? { E: 8, KEYS: 4, KV_BITS: 16 } : SHAPES[seed % SHAPES.length]!;
  const [pages, lists] = tiny ? [1, 1] : [1 + upTo(3), 1 + upTo(4)];
  const words = { from: pageWords(shape), to: wordsOfThink(shape) };
  const first = pick(uniform, [0, 2]);
  const channels = Array.from({ length: lists }, () => drawChannels(uniform, shape));
  const choices = Uint32Array.from(channels.flatMap((list) => [...packChannels(list)]));
  const source = Uint32Array.from({ length: pages * words.from }, () => upTo(2 ** 32));
  const destination = new Uint32Array((pages + 1) * words.to).fill(0xdeadbeef);
  const want = destination.slice();
  const moves = new Uint32Array(2 * (first + pages));
  const owners = new Uint32Array(first + pages);
  for (let i = 0; i < pages; i++) {
    const [from, to, owner] = [i * words.from, (pages - i) * words.to, upTo(lists)];
    moves.set([from, to], 2 * (first + i));
    owners[first + i] = owner;
    const page = narrowed(shape, source.subarray(from, from + words.from), channels[owner]!);
    want.set(page.subarray(0, partsOfThink(shape).used), to);
  }
  return {
    label: `E ${shape.E} keys ${shape.KEYS} bits ${shape.KV_BITS} pages ${pages} lists ${lists}`,
    constants: { ...shape, WG: tiny ? 8 : 64 },
    params: { first },
    grid: [pages, 1, 1] as const,
    buffers: { moves, owners, choices, source, destination },
    want: { destination: want },
    terms: 1,
  };
}

export default spec({
  kernel: think_seal,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["another list's channels", "let owner = owners[params.first + wg.x];", "let owner = owners[0];", 2],
    ["the first channels", "chosen(list, first + n) * KV_BITS", "(first + n) * KV_BITS"],
    ["pairs stay behind", "select(0u, 64u, KV_BITS <= 8u)", "0u", 1],
  ],
});

import { kvmerger_cuts } from "../../../src/gpu/kernels.gen.ts";
import { get, pageWords, put } from "../attn_case.ts";
import { cutAt, goldenSets } from "../merged_sets.ts";
import { floats, pick, random, spec } from "../spec.ts";

const SHAPES = [
  [64, 16],
  [24, 32],
  [80, 8],
  [32, 4],
  [8, 32],
] as const;

/** Keys that come in runs: each is like the one before it, or new, or nothing. */
function drawKeys(uniform: () => number, count: number, E: number): Float32Array[] {
  const keys: Float32Array[] = [];
  for (let s = 0; s < count; s++) {
    const before = keys.at(-1);
    const noise = floats(uniform, E, pick(uniform, [0, 0.1, 0.5]));
    const isNew = !before || uniform() < 0.3;
    keys.push(isNew ? floats(uniform, E, pick(uniform, [1, 20])) : before.map((x, e) => x * (1 + noise[e]!)));
    if (uniform() < 0.03) keys[s]!.fill(0);
  }
  return keys;
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const [E, KV_BITS] = tiny ? ([8, 32] as const) : SHAPES[seed % SHAPES.length]!;
  const shape = { E, KV_BITS };
  const [G, pages] = tiny ? [1, 1] : [1 + upTo(2), 1 + upTo(4)];
  const [row, column, arena] = [upTo(2), pick(uniform, [0, 2]), upTo(2)];
  const [columns, listLength] = [column + G + upTo(2), 1 + pages + upTo(2)];
  const [sinks, alone] = [pick(uniform, [0, 1, 4, 32]), Math.min(32 * pages, pick(uniform, [0, 1, 5, 12]))];
  const [aloneStride, stride] = [alone + upTo(3), 32 * pages + upTo(9)];
  const words = pageWords(shape);
  const table = new Uint32Array(2 * listLength * columns * 4).fill(0xfffffff0);
  const source = new Uint32Array((G * pages + 1) * words).fill(0x7fc0dead);
  const aloneList = new Uint32Array(G * aloneStride + 1).fill(3);
  const want = new Float64Array(G * stride).fill(Number.NaN);
  for (let g = 0; g < G; g++) {
    const entry = (at: number, value: number[]) =>
      table.set(value, ((row * listLength + at) * columns + column + g) * 4);
    entry(0, [0, 0, 0, 0]);
    const own = Array.from({ length: pages }, () => (uniform() < 0.8 ? arena : 1 - arena));
    for (const [s, key] of drawKeys(uniform, 32 * pages, E).entries())
      put({ shape, kv: source }, (g * pages + Math.floor(s / 32)) * words, "k", s % 32, key);
    const keys = Array.from(
      { length: 32 * pages },
      (_, s) =>
      Array.from({ length: E }, (_, e) => get({ shape, kv: source }, (g * pages + Math.floor(s / 32)) * words, "k", s % 32, e)), // prettier-ignore
    );
    for (const [i, number] of own.entries()) entry(1 + i, [(g * pages + i) * words, 0xffffffff, number, 32 * i]);
    const chosen = new Set<number>();
    while (chosen.size < alone) chosen.add(upTo(32 * pages));
    aloneList.set([...chosen].sort((a, b) => a - b), g * aloneStride); // prettier-ignore
    const never = new Set([...chosen, ...Array.from({ length: sinks }, (_, s) => s)]);
    for (let s = 0; s < 32 * pages; s++) {
      const [page, before] = [Math.floor(s / 32), Math.floor((s - 1) / 32)];
      if (own[page] !== arena) continue;
      want[g * stride + s] = s > 0 && own[before] !== arena ? 2 : cutAt(keys, s, never);
    }
  }
  return {
    label: `E ${E} bits ${KV_BITS} G ${G} pages ${pages} sinks ${sinks} alone ${alone}`,
    constants: { E, KV_BITS },
    params: { listLength, columns, column, row, arena, sinks, alone, aloneStride, stride },
    grid: [G, pages, 1] as const,
    buffers: { table, source, alone: aloneList, cuts: new Float32Array(want.length).fill(7) },
    want: { cuts: want },
    terms: E,
    ulps: 16, // a square root and a division
  };
}

/** The cuts of part F: with a threshold of 0.75 the sets are those of the checks. */
function golden() {
  const { keys, starts } = goldenSets();
  const shape = { E: 8, KV_BITS: 32 };
  const source = new Uint32Array(pageWords(shape));
  for (const [s, key] of keys.entries()) put({ shape, kv: source }, 0, "k", s, key);
  const judge = (got: Uint32Array): string | null => {
    const cuts = new Float32Array(got.buffer, got.byteOffset, 12);
    const found = [...cuts.keys()].filter((s) => cuts[s]! > -0.75);
    return found.join() === starts.join() ? null : `: sets begin at ${found.join()}, want ${starts.join()}`;
  };
  return {
    label: "golden sets",
    constants: shape,
    params: { listLength: 2, columns: 1, column: 0, row: 0, arena: 0, sinks: 0, alone: 0, aloneStride: 1, stride: 32 },
    grid: [1, 1, 1] as const,
    buffers: { table: Uint32Array.of(0, 0, 0, 0, 0, 0xffffffff, 0, 0), source, alone: new Uint32Array(1), cuts: new Float32Array(32) }, // prettier-ignore
    want: { cuts: judge },
    terms: 1,
  };
}

export default spec({
  kernel: kvmerger_cuts,
  cases: 40,
  make: (seed) => (seed === 0 ? golden() : make(seed)),
  race: () => make(1, true),
  mutants: [
    ["keys two apart", "(slot - 1u) % 32u", "(slot - 2u) % 32u"],
    ["those who stay alone are merged with the next", "middle] + 1u < slot", "middle] < slot", 1],
    ["sets go on in another buffer", " && before.z == params.arena", "", 1],
    ["one sink fewer", "slot <= params.sinks", "slot < params.sinks", 1],
  ],
});

import { kivi_seal } from "../../../src/gpu/kernels.gen.ts";
import { get, type PageShape, pageWords, put } from "../attn_case.ts";
import { judgePage, type KiviShape, readCode, wordsOfPage } from "../kivi_page.ts";
import { floats, pick, random, spec } from "../spec.ts";
import { drawChannels, packChannels } from "../think_page.ts";
import { uniforms } from "../vectors.ts";
import { hadamardOf } from "./hadamard_query.ts";

/** [32][E] keys or values with what quantisers find hard: outlier channels, outlier tokens, constant channels and slots. */
function drawHeads(uniform: () => number, E: number): Float32Array[] {
  const scales = floats(uniform, E, 1).map((x) => (Math.abs(x) < 0.1 ? 20 : 1));
  const offsets = floats(uniform, E, pick(uniform, [0, 1, 30]));
  const [flatChannel, flatSlot, loudSlot] = [uniform() * E * 2, uniform() * 64, uniform() * 64].map(Math.floor);
  return Array.from({ length: 32 }, (_, slot) => {
    const head = floats(uniform, E, slot === loudSlot ? 50 : 1).map((x, e) => x * scales[e]! + offsets[e]!);
    if (flatChannel! < E) head[flatChannel!] = 0.25;
    return slot === flatSlot ? head.fill(-0.5) : head;
  });
}

/** The values of a written page, as it holds them. */
const stored = (shape: PageShape, kv: Uint32Array, page: number, kind: "k" | "v"): Float64Array[] =>
  Array.from({ length: 32 }, (_, slot) =>
    Float64Array.from({ length: shape.E }, (_, e) => get({ shape, kv }, page, kind, slot, e)),
  );

/** Seeds below this share a few shapes, each of which compiles for a second. */
const FEW = 40;

/** Head width, bits of codes and of the source, and the block that is turned. */
function drawShape(uniform: () => number, tiny: boolean): Required<KiviShape> & PageShape {
  const widths = [8, 16, 24, 40, 64, 80, 96, 128, 256];
  const [K_BITS, V_BITS] = tiny ? [4, 8] : pick(uniform, [[2, 2], [4, 4], [8, 4], [2, 4], [8, 8], [4, 2]] as const); // prettier-ignore
  const E = tiny ? 8 : pick(uniform, Math.min(K_BITS, V_BITS) === 2 ? widths.filter((w) => w % 16 === 0) : widths);
  const BLOCK = pick(uniform, [1, E & -E]);
  const KEYS = BLOCK > 1 ? E : pick(uniform, [E, E / 2 + 4 - ((E / 2) % 4), E - 4]);
  return { E, KEYS, K_BITS, V_BITS, KV_BITS: pick(uniform, [16, 32, 8, 4]), BLOCK };
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const { KV_BITS, ...kivi } = drawShape(seed < FEW ? random(1000 + (seed % 8)) : uniform, tiny);
  const shape = { E: kivi.E, KV_BITS };
  const pages = tiny ? 1 : 3;
  const words = { from: pageWords(shape), to: wordsOfPage(kivi).end };
  const source = new Uint32Array(pages * words.from).fill(0x7fc0dead);
  const first = pick(uniform, [0, 1]);
  const moves = new Uint32Array(2 * (first + pages));
  const destination = new Uint32Array((pages + 1) * words.to).fill(0x7fc0dead);
  const owners = Uint32Array.from({ length: first + pages }, () => Math.floor(uniform() * 3));
  const channels = Array.from({ length: 3 }, () => drawChannels(uniform, { ...shape, KEYS: kivi.KEYS }));
  const expected = Array.from({ length: pages }, (_, i) => {
    const [from, to] = [i * words.from, ((pages - i) % (pages + 1)) * words.to];
    moves.set([from, to], 2 * (first + i));
    for (const kind of ["k", "v"] as const) {
      for (const [slot, head] of drawHeads(uniform, kivi.E).entries())
        put({ shape, kv: source }, from, kind, slot, head);
    }
    const turned = (kind: "k" | "v") => stored(shape, source, from, kind).map((head) => hadamardOf(head, kivi.BLOCK));
    const own = channels[owners[first + i]!]!;
    const keys = turned("k").map((head) => Float64Array.from(own, (channel) => head[channel]!));
    return { page: to, keys, values: turned("v"), list: kivi.KEYS < kivi.E ? packChannels(own) : [] };
  });
  const judge = (got: Uint32Array): string | null => {
    const untouched = destination.slice();
    for (const page of expected) {
      const wrong = judgePage(kivi, page, got);
      if (wrong) return ` page at ${page.page}: ${wrong}`;
      const at = page.page + wordsOfPage(kivi).channels;
      if (page.list.some((word, i) => got[at + i] !== word)) return ` page at ${page.page}: other channels are listed`;
      untouched.set(got.subarray(page.page, page.page + words.to), page.page);
    }
    const at = untouched.findIndex((word, i) => got[i] !== word);
    return at < 0 ? null : `[${at}] was written, want untouched`;
  };
  return {
    label: `E ${kivi.E} keys ${kivi.KEYS} from ${KV_BITS} to ${kivi.K_BITS}/${kivi.V_BITS} bits block ${kivi.BLOCK} first ${first}`,
    constants: { ...kivi, WG: kivi.E, GROUP: wordsOfPage(kivi).group, KV_BITS },
    params: { first },
    grid: [pages, 1, 1] as const,
    buffers: {
      moves,
      owners,
      choices: Uint32Array.from(channels.flatMap((own) => [...packChannels(own)])),
      source,
      destination,
    },
    want: { destination: judge },
    terms: 1,
  };
}

/** Part B of the checks: K [64, 16] with an outlier channel and a constant one; two words of its codes are known. */
function golden() {
  const kivi = { E: 16, KEYS: 16, K_BITS: 2, V_BITS: 2, BLOCK: 1 };
  const shape = { E: 16, KV_BITS: 32 };
  const words = { from: pageWords(shape), to: wordsOfPage(kivi).end };
  const source = new Uint32Array(2 * words.from);
  const numbers = uniforms(2);
  for (const kind of ["k", "v"] as const) {
    for (let token = 0; token < 64; token++) {
      const head = Float32Array.from({ length: 16 }, () => numbers.next().value as number);
      if (kind === "k") [head[3], head[5]] = [head[3]! * 20, 0.25];
      put({ shape, kv: source }, Math.floor(token / 32) * words.from, kind, token % 32, head);
    }
  }
  /** Codes of sixteen tokens of a channel in one word, as the checks pack them. */
  const packed = (got: Uint32Array, channel: number, token: number) =>
    Array.from({ length: 16 }, (_, i) => readCode(kivi, got, 0, "k", token + i, channel) * 4 ** i).reduce((a, b) => a + b); // prettier-ignore
  const judge = (got: Uint32Array): string | null => {
    const words = [packed(got, 0, 0), packed(got, 3, 16)].map((word) => word.toString(16));
    return words.join() === "660fb4d1,17b7bb6e" ? null : `: got the words ${words.join()}, want 660fb4d1,17b7bb6e`;
  };
  return {
    label: "golden codes",
    constants: { ...kivi, WG: 16, GROUP: 16, KV_BITS: 32 },
    params: { first: 0 },
    grid: [2, 1, 1] as const,
    buffers: {
      moves: Uint32Array.of(0, 0, words.from, words.to),
      owners: new Uint32Array(2),
      choices: new Uint32Array(4),
      source,
      destination: new Uint32Array(2 * words.to),
    },
    want: { destination: judge },
    terms: 1,
  };
}

export default spec({
  kernel: kivi_seal,
  cases: FEW,
  allCases: 90,
  make: (seed) => (seed === 0 ? golden() : make(seed)),
  race: () => make(1, true),
  mutants: [
    [
      "keys by token",
      "turned[slot * E + e] * scale);\n      most",
      "turned[e * SLOTS + slot] * scale);\n      most",
      1,
    ],
    ["a group too narrow", "for (var i = first; i < first + GROUP; i++) {\n        low", "for (var i = first; i + 1u < first + GROUP; i++) {\n        low", 1], // prettier-ignore
    ["rounds down", "clamp(round(", "clamp(floor(", 1],
    ["the first channels", "e = channel(owner, local)", "e = local", 1],
    ["pairs of the first slots", "slot0 * GROUPS + group", "group", 1],
  ],
});

import { ceilDiv } from "../../../src/errors.ts";
import { shadow_scores } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";
import { drawHalves } from "./shadow_case.ts";

/** [H, G, E] */
const SHAPES = [
  [9, 3, 64],
  [2, 2, 8],
  [7, 1, 24],
] as const;

/** Pairs of f16; or codes of 8 bits and behind them their scale and minimum. And channel e of chunk n of a KV head. */
function drawLandmarks(uniform: () => number, { G, E, room, BITS }: Record<"G" | "E" | "room" | "BITS", number>) {
  if (BITS === 16) {
    const { words, values } = drawHalves(uniform, G * E * room);
    const at = (g: number, e: number, n: number) => 2 * ((g * (E / 2) + Math.floor(e / 2)) * room + n) + (e % 2);
    return { words, value: (g: number, e: number, n: number) => values[at(g, e, n)]! };
  }
  const ROWS = E / 4 + 1;
  const words = Uint32Array.from({ length: G * ROWS * room }, () => Math.floor(uniform() * 2 ** 32));
  const pairs = drawHalves(uniform, 2 * G * room, 1 / 255);
  for (let i = 0; i < G * room; i++) words[(Math.floor(i / room) * ROWS + E / 4) * room + (i % room)] = pairs.words[i]!;
  const value = (g: number, e: number, n: number) => {
    const code = (words[(g * ROWS + Math.floor(e / 4)) * room + n]! >>> (8 * (e % 4))) & 0xff;
    const pair = 2 * (g * room + n);
    return pairs.values[pair + 1]! + pairs.values[pair]! * code;
  };
  return { words, value };
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [H, G, E] = tiny ? ([4, 2, 8] as const) : SHAPES[seed % SHAPES.length]!;
  const [R, WG, OUTLIERS] = [H / G, tiny ? 4 : 32, tiny ? 1 : [3, 24, 1][seed % 3]!];
  const BITS = [16, 8][Math.floor(seed / 3) % 2]!;
  const [count, firstRow] = [tiny ? 1 : pick(uniform, [1, 2, 3]), pick(uniform, [0, 2])];
  const [sequences, perPage] = [3, pick(uniform, [2, 4, 8])];
  const livePages = tiny ? 2 : pick(uniform, [1, 9, 30]);
  const span = livePages * perPage + pick(uniform, [0, 5]);
  const regions = [0, 2, 4].map((region) => region * Math.ceil(livePages / 2)); // of the sequences, each as long as a prompt
  const stride = 4 * Math.ceil((regions[2]! * perPage + span) / 4) + pick(uniform, [0, 4]);
  const room = stride + pick(uniform, [0, 8]);
  const written = 4 * Math.ceil(span / 4);
  const [column, listLength] = [pick(uniform, [0, 2]), 2];
  const columns = column + G;
  const table = new Uint32Array(sequences * listLength * columns * 4).fill(0xfffffff0);
  const own = pick(uniform, regions);
  const chunks = uniform() < 0.3 ? Math.ceil(span / 2) : 0;
  const heads = Array.from({ length: sequences * G }, (_, i) => {
    const kept = pick(uniform, [0, 2, 2]);
    const liveFrom = Math.ceil(uniform() * livePages);
    table.set(
      [kept, liveFrom, regions[Math.floor(i / G)]!, 0],
      (Math.floor(i / G) * listLength * columns + column + (i % G)) * 4,
    );
    return kept > 0 ? liveFrom * perPage : 0;
  });
  const rows = new Uint32Array((firstRow + count) * 4).fill(0xffffff00);
  const order = pick(uniform, [[0, 1, 2], [2, 0, 1]]); // prettier-ignore
  for (let m = 0; m < count; m++) rows[(firstRow + m) * 4 + 2] = order[m]!;
  const q = floats(uniform, (firstRow + count) * H * E, 2);
  const { words: landmarks, value } = drawLandmarks(uniform, { G, E, room, BITS });
  const outliers = Uint32Array.from({ length: sequences * G * OUTLIERS }, () => Math.floor(uniform() * stride));
  const scale = 1 / Math.sqrt(E);
  const want = new Float64Array(count * H * stride).fill(Number.NaN);
  for (let m = 0; m < count; m++) {
    for (let h = 0; h < H; h++) {
      const list = order[m]! * G + Math.floor(h / R);
      const limit = chunks || heads[list]!;
      const region = chunks ? own : regions[order[m]!]!;
      const out = outliers.subarray(list * OUTLIERS, (list + 1) * OUTLIERS);
      for (let n = 0; n < written; n++) {
        let sum = 0;
        for (let e = 0; e < E; e++) {
          const column = (n < limit ? region * perPage : 0) + n;
          sum += q[((firstRow + m) * H + h) * E + e]! * value(Math.floor(h / R), e, column);
        }
        want[(m * H + h) * stride + n] = n < limit && !out.includes(n) ? sum * scale : Math.fround(-3e38);
      }
    }
  }
  return {
    label: `${H}/${G}×${E}, ${count} rows, ${span} chunks of ${BITS} bits, of which ${chunks || "listed"}`,
    constants: { WG, E, G, R, OUTLIERS, BITS },
    params: { firstRow, listLength, columns, column, chunks, region: own, perPage, span, room, stride, scale },
    grid: [ceilDiv(span, 4 * WG), G, count] as const,
    buffers: { q, rows, table, landmarks, outliers, products: new Float32Array(want.length).fill(Number.NaN) },
    want: { products: want },
    terms: E,
    magnitude: E,
  };
}

export default spec({
  kernel: shadow_scores,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["outliers too", "recallable & (four != vec4u(outliers[list * OUTLIERS + i]))", "recallable"],
    ["lists that gave up nothing", "head.x > 0u", "true"],
    ["another head's query", "+ h * (E / 4u) + e4", "+ e4"],
    ["not scaled", "sums[h] * params.scale", "sums[h]"],
    ["another sequence", "sequence * G + wg.y", "wg.y"],
    ["products as far apart as landmarks", "(params.stride / 4u) + id.x", "fours + id.x"],
    ["another region", "ROWS * fours + first + id.x", "ROWS * fours + id.x"],
    ["no minimum", "+ queries[h] * minima", ""],
    ["the scale of another chunk", "sums[h] * scales", "sums[h] * scales.x"],
    ["codes of the first four channels", "landmarks[at + e4 * fours]", "landmarks[at]"],
  ],
});

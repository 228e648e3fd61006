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

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [H, G, E] = tiny ? ([4, 2, 8] as const) : SHAPES[seed % SHAPES.length]!;
  const [R, WG, OUTLIERS] = [H / G, tiny ? 4 : 32, tiny ? 1 : [3, 24, 1][seed % 3]!];
  const [count, firstRow] = [tiny ? 1 : pick(uniform, [1, 2, 3]), pick(uniform, [0, 2])];
  const [sequences, perPage] = [3, pick(uniform, [2, 4, 8])];
  const livePages = tiny ? 2 : pick(uniform, [1, 9, 30]);
  const span = livePages * perPage + pick(uniform, [0, 5]);
  const regions = [0, 2, 4].map((region) => region * Math.ceil(livePages / 2)); // of the sequences, each as long as a prompt
  const stride = 4 * Math.ceil((regions[2]! * perPage + span) / 4) + pick(uniform, [0, 4]);
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
  const { words: landmarks, values } = drawHalves(uniform, G * E * stride);
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
          const at = 2 * ((Math.floor(h / R) * (E / 2) + Math.floor(e / 2)) * stride + column) + (e % 2);
          sum += q[((firstRow + m) * H + h) * E + e]! * values[at]!;
        }
        want[(m * H + h) * stride + n] = n < limit && !out.includes(n) ? sum * scale : Math.fround(-3e38);
      }
    }
  }
  return {
    label: `${H}/${G}×${E}, ${count} rows, ${span} chunks of which ${chunks || "listed"}`,
    constants: { WG, E, G, R, OUTLIERS },
    params: { firstRow, listLength, columns, column, chunks, region: own, perPage, span, stride, scale },
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
    ["another region", "e4) * fours + first + id.x", "e4) * fours + id.x"],
  ],
});

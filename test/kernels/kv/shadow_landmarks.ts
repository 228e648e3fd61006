import { ceilDiv } from "../../../src/errors.ts";
import { shadow_landmarks } from "../../../src/gpu/kernels.gen.ts";
import { pick, random, spec, type Verdict } from "../spec.ts";
import { judgeCodes } from "./codes.ts";
import { drawPrompt, halves, type Near, promptShape } from "./shadow_case.ts";

/** Landmarks that begin at the words of `means` are those, as codes; all other words are as before. */
const coded =
  (before: Uint32Array, means: ReadonlyMap<number, Float64Array>, { E, room }: { E: number; room: number }): Verdict =>
  (words) => {
    const rest = words.slice();
    for (const [at, mean] of means) {
      const word = (row: number) => words[at + row * room]!;
      const codes = Array.from(mean, (_, e) => (word(Math.floor(e / 4)) >>> (8 * (e % 4))) & 0xff);
      const wrong = judgeCodes(mean, codes, word(E / 4), 255, 2 ** -21);
      if (wrong) return ` landmark at ${at}: ${wrong}`;
      for (let row = 0; row <= E / 4; row++) rest[at + row * room] = before[at + row * room]!;
    }
    const stray = rest.subarray(0, before.length).findIndex((word, i) => word !== before[i]);
    return stray < 0 ? null : `[${stray}] was written, want untouched`;
  };

/** [G, E, KV_BITS], and tokens of a chunk. */
function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const shape = promptShape(seed, tiny);
  const { G, E, KV_BITS } = shape;
  const [WG, CHUNK] = [tiny ? 4 : 16, tiny ? 4 : [8, 4, 16, 8][seed % 4]!];
  const BITS = [16, 8][Math.floor(seed / 4) % 2]!;
  const ROWS = BITS === 8 ? E / 4 + 1 : E / 2;
  const tokens = tiny ? 10 : pick(uniform, [CHUNK, 32, 33 + CHUNK, 100, 160]);
  const { table, kv, token, row, params } = drawPrompt(uniform, shape, tokens);
  const end = Math.floor(tokens / CHUNK);
  const begin = pick(uniform, [0, 0, Math.floor(end / 2)]);
  const first = pick(uniform, [0, 8]);
  const stride = first + end + pick(uniform, [0, 3]);
  const room = stride + pick(uniform, [0, 5]);
  const landmarks = new Uint32Array(G * ROWS * room).fill(0xdeadbeef);
  const unlike = new Float32Array(G * stride).fill(Number.NaN);
  const wantLandmarks = new Map<number, [Near, Near]>();
  const means = new Map<number, Float64Array>(); // by first word
  const wantUnlike = new Float64Array(G * stride).fill(Number.NaN);
  for (let chunk = begin; chunk < end; chunk++) {
    if (!token(chunk * CHUNK).here) continue;
    for (let g = 0; g < G; g++) {
      const keys = Array.from({ length: CHUNK }, (_, i) => token(chunk * CHUNK + i).key(g));
      const mean = keys[0]!.map((_, e) => keys.reduce((sum, key) => sum + key[e]!, 0) / CHUNK);
      const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, e) => sum + value * b[e]!, 0);
      const cosines = keys.map((key) => dot(key, mean) / Math.max(1e-8, Math.sqrt(dot(key, key) * dot(mean, mean))));
      wantUnlike[g * stride + chunk] = chunk === 0 ? 2 : -Math.min(...cosines);
      means.set(g * ROWS * room + first + chunk, mean);
      for (let e2 = 0; e2 < E / 2; e2++) {
        const near = (e: number): Near => ({ value: mean[e]!, error: 2 ** -22 * 2 });
        const at = (g * (E / 2) + e2) * room + first + chunk;
        wantLandmarks.set(at, [near(2 * e2), near(2 * e2 + 1)]);
      }
    }
  }
  return {
    label: `${G}×${E} ${KV_BITS} bits, chunks ${begin} … ${end - 1} of ${CHUNK}, landmarks of ${BITS} bits`,
    constants: { WG, E, G, KV_BITS, BITS, CHUNK },
    params: { ...params, row, begin, chunks: end - begin, first, room, stride },
    grid: [ceilDiv(end - begin, WG), G, 1] as const,
    buffers: { table, kv, landmarks, unlike },
    want: {
      landmarks: BITS === 8 ? coded(landmarks, means, { E, room }) : halves(landmarks, wantLandmarks),
      unlike: wantUnlike,
    },
    terms: E,
    magnitude: 2,
    ulps: 40, // of products of few channels, divided by a square root
  };
}

export default spec({
  kernel: shadow_landmarks,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["the first chunks, whichever are meant", "params.begin + id.x", "id.x"],
    ["the sum instead of the mean", "mean /= f32(CHUNK);", ""],
    ["the first chunk like any other", "select(-cosine, 2.0, chunk == 0u)", "-cosine"],
    ["the first key only", "products[i] / max(sqrt(squares[i] * square), 1e-8)", "products[0] / max(sqrt(squares[0] * square), 1e-8)"], // prettier-ignore
    ["another region", "params.room + params.first + chunk", "params.room + chunk"],
    ["another arena's words", "if (entry.z != params.arena) { return; }", ""],
    ["codes of the sum", "return mean / f32(CHUNK);", "return mean;"],
    ["the pair over the codes", "landmarks[at + E / 4u * params.room] = pair;", "landmarks[at] = pair;"],
    ["landmarks as far apart as likeness", "id.y * ROWS * params.room", "id.y * ROWS * params.stride"],
    ["the chunk's first slots", "let slot = chunk * CHUNK % 32u;", "let slot = 0u;"],
  ],
});

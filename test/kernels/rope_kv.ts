import { rope_kv } from "../../src/gpu/kernels.gen.ts";
import { pageWords as wordsOf, put, quantise } from "./attn_case.ts";
import { floats, pick, random, spec } from "./spec.ts";

const HEADS = [[9, 3], [3, 1], [4, 4], [1, 1], [8, 1], [14, 2], [15, 5]] as const; // prettier-ignore
const WIDTHS = [6, 8, 10, 16, 32, 48, 64, 80, 96, 128] as const;

/** Powers of two and halves: everything the kernel computes from them is exact, in f16 too. */
const exact = (uniform: () => number, count: number, values: readonly number[]): Float32Array =>
  Float32Array.from({ length: count }, () => pick(uniform, values));

/** Whether errors of f32 could change a byte or the scale: such values prove nothing. */
function onEdge(values: Float64Array): boolean {
  const largest = Math.max(...values.map(Math.abs));
  const { scale, bytes } = quantise(values);
  return [1e-5, -1e-5].some((error) => {
    const moved = quantise(values.map((value) => (Math.abs(value) === largest ? value : value + error * largest)));
    return quantise([largest * (1 + error)]).scale !== scale || moved.bytes.some((byte, e) => byte !== bytes[e]);
  });
}

/** Rows of two sequences; also the cases of rope_kv8 (KV_BITS 8). */
export function ropeCase(seed: number, bits: readonly number[], tiny = false) {
  const uniform = random(seed);
  const [H, G] = tiny ? [1, 1] : pick(uniform, HEADS);
  const KV_BITS = pick(uniform, bits);
  const E = tiny ? 8 : pick(uniform, KV_BITS === 8 ? WIDTHS.filter((width) => width % 8 === 0) : WIDTHS);
  const QK_NORM = pick(uniform, [0, 1]);
  const WG = tiny ? 8 : pick(uniform, [32, 64, 128]);
  const T = tiny ? 2 : pick(uniform, [1, 2, 5, 33]);
  const writeQ = pick(uniform, [1, 1, 0]);
  const eps = KV_BITS === 16 ? 0 : Math.fround(1e-5);
  const [positions, heads, half] = [50, H + 2 * G, E / 2];
  const real = (count: number) => floats(uniform, count, 3);
  // With every |x| of a head alike its RMS is a power of two, so the f16 cases stay exact under QK_NORM.
  const qkv = KV_BITS === 16 ? exact(uniform, T * heads * E, [2, -2]) : real(T * heads * E);
  const rope = KV_BITS === 16 ? exact(uniform, positions * E, [1, -1, 0.5, 2]) : floats(uniform, positions * E, 1);
  const headNorm = KV_BITS === 16 ? exact(uniform, 2 * E, [1, -0.5, 2]) : real(2 * E);

  // Rows of two sequences; every slot is used once, pages lie in a random order and in two parts.
  const [lane0, maxPages] = [pick(uniform, [0, G]), 3];
  const stride = lane0 + G + 1;
  const part = pick(uniform, [0, 1]);
  const pageWords = wordsOf({ E, KV_BITS });
  const table = new Uint32Array(2 * maxPages * stride * 4).fill(0xfffffff0);
  for (let i = 0, page = 2 * maxPages * G; i < 2 * maxPages; i++) {
    for (let head = 0; head < G; head++) {
      table.set(
        [--page * pageWords, 0xffffffff, pick(uniform, [part, part, 1 - part]), i * 32],
        (i * stride + lane0 + head) * 4,
      );
    }
  }
  const rows = new Uint32Array(T * 4);
  for (let t = 0; t < T; t++) rows.set([Math.floor(uniform() * positions), 20 + t, (seed + t) % 2, 0], t * 4);
  const kv = new Uint32Array(2 * maxPages * G * pageWords).fill(0x7fc00001);
  const cache = { shape: { H, G, E, KV_BITS }, kv: kv.slice() };
  const q = new Float32Array(T * H * E).fill(7);
  const wantQ = new Float64Array(q.length).fill(Number.NaN);

  for (let t = 0; t < T; t++) {
    const [position, cacheIndex, tableRow] = rows.subarray(t * 4, t * 4 + 3) as unknown as [number, number, number];
    for (let head = 0; head < heads; head++) {
      const isValue = head >= H + G;
      const own = qkv.subarray((t * heads + head) * E, (t * heads + head + 1) * E);
      const turn = (): Float64Array => {
        const x = Float64Array.from(own);
        if (isValue) return x;
        if (QK_NORM) {
          const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / E + eps);
          for (let e = 0; e < E; e++) x[e]! *= scale * headNorm[(head < H ? 0 : E) + e]!;
        }
        return x.map((value, e) => {
          const [cos, sin] = rope.subarray((position * half + (e % half)) * 2) as unknown as [number, number];
          return e < half ? value * cos - x[e + half]! * sin : value * cos + x[e - half]! * sin;
        });
      };
      if (KV_BITS === 8 && uniform() < 0.05) own.fill(0);
      const unsure = (values: Float64Array) => KV_BITS === 8 && head >= H && onEdge(values);
      let turned = turn();
      while (unsure(turned)) {
        own.set(real(E));
        turned = turn();
      }
      if (head < H && writeQ) wantQ.set(turned, (t * H + head) * E);
      if (head < H) continue;
      const entry = ((tableRow * maxPages + Math.floor(cacheIndex / 32)) * stride + lane0 + ((head - H) % G)) * 4;
      if (table[entry + 2] !== part) continue;
      put(cache, table[entry]!, isValue ? "v" : "k", cacheIndex % 32, turned);
    }
  }
  const untouched = (word: number): number =>
    word === 0x7fc00001 ? Number.NaN : new Float32Array(Uint32Array.of(word).buffer)[0]!;
  return {
    label: `T ${T} H ${H} G ${G} E ${E} bits ${KV_BITS} norm ${QK_NORM} writeQ ${writeQ} part ${part} WG ${WG}`,
    constants: { WG, H, G, E, KV_BITS, QK_NORM },
    params: { maxPages, stride, lane0, part, writeQ, eps },
    grid: [Math.ceil((KV_BITS === 8 ? H * half + G : heads * half) / WG), T, 1] as const,
    buffers: { qkv, rows, rope, table, headNorm, q, kv },
    want: { q: wantQ, kv: KV_BITS < 32 ? cache.kv : Float64Array.from(cache.kv, untouched) },
    terms: E,
    ulps: 16,
    magnitude: 40,
  };
}

export default spec({
  kernel: rope_kv,
  cases: 64,
  make: (seed) => ropeCase(seed, [16, 32]),
  race: () => ropeCase(6, [16, 32], true),
  mutants: [
    ["rotates the other way", "a * turn.x - b * turn.y", "a * turn.x + b * turn.y"],
    ["ignores the part", "if (entry.z != params.part) { return; }", ""],
    ["k normalised by q's weights", "select(0u, E, head >= H)", "0u"],
  ],
});

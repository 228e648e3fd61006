import { ceilDiv } from "../../../src/errors.ts";
import { pack_float } from "../../../src/gpu/kernels.gen.ts";
import { floatBits, halfBits, wordAt } from "../matrix.ts";
import { emptyMatrix, place, randomTarget } from "../packing.ts";
import { pick, random, spec } from "../spec.ts";

const [F32, F16, BF16] = [0, 1, 2];

/** `count` values that quantise to known integers: w = scale·(q − zero) with q covering 0 and the largest. */
function randomGroup(uniform: () => number, count: number, largest: number, source: number) {
  // bfloat16 has 8 bits: a scale that is a power of two keeps every value exact in all sources
  const scale = uniform() < 0.1 ? 0 : 2 ** (Math.floor(uniform() * 12) - 9) * (source === BF16 ? 1 : 1.25);
  const zero = Math.floor(uniform() * (largest + 1));
  const q = Array.from({ length: count }, (_, i) =>
    i === 0 ? 0 : i === 1 ? largest : Math.floor(uniform() * (largest + 1)),
  );
  q.sort(() => uniform() - 0.5);
  const jitter = (value: number) => (source === F32 && value > 0 && value < largest ? 0.8 * uniform() - 0.4 : 0);
  const values = q.map((value) => (scale === 0 ? 0.25 : scale * (value + jitter(value) - zero)));
  const pair = (halfBits(scale) | (halfBits(scale === 0 ? 0.25 : 0 - zero * scale) << 16)) >>> 0;
  return { values, q: scale === 0 ? q.map(() => 0) : q, pair };
}

/** Bytes of `values` in the source's type. */
function encode(values: readonly number[], source: number): Uint32Array {
  if (source === F32) return Uint32Array.from(values, floatBits);
  const halves = Uint16Array.from(values, (value) => (source === F16 ? halfBits(value) : floatBits(value) >>> 16));
  const words = new Uint32Array(ceilDiv(halves.length, 2));
  halves.forEach((half, i) => (words[i >> 1]! |= half << (16 * (i & 1))));
  return words;
}

function make(seed: number) {
  const uniform = random(seed);
  const SOURCE = pick(uniform, [F32, F16, BF16]);
  const BITS = pick(uniform, [4, 8, 16, 32]);
  const GROUP = pick(uniform, [16, 32]);
  const WG = pick(uniform, [32, 64]);
  const depth = BITS <= 8 ? GROUP * pick(uniform, [1, 2, 3, 18]) : pick(uniform, [1, 2, 3, 31, 32, 33, 64, 172]);
  const target = randomTarget(uniform, depth);
  const { rows, stride } = target.params;
  const { words, scales } = emptyMatrix(target, BITS, GROUP);
  const want = { words: words.slice(), scales: scales.slice() };
  const raw: number[] = [];
  for (const column of target.columns) {
    for (let j = 0; j < ceilDiv(depth, 32 / BITS); j++) want.words[wordAt(j, column, stride)] = 0;
    for (let first = 0; first < depth; first += GROUP) {
      const group = randomGroup(uniform, Math.min(GROUP, depth - first), BITS === 4 ? 15 : 255, SOURCE);
      raw.push(...group.values);
      if (BITS <= 8) want.scales[(first / GROUP) * stride + column] = group.pair;
      group.values.forEach((value, i) => {
        const bits =
          BITS === 32 ? floatBits(Math.fround(value)) : BITS === 16 ? halfBits(Math.fround(value)) : group.q[i]!;
        place(want.words, BITS, { k: first + i, column, stride }, bits);
      });
    }
  }
  const spare = pick(uniform, [[], [Number.NaN, Number.NaN, Number.NaN]]);
  return {
    label: `rows ${rows} K ${depth} SOURCE ${SOURCE} BITS ${BITS} GROUP ${GROUP} ${JSON.stringify(target.params)}`,
    constants: { WG, SOURCE, BITS, GROUP },
    params: target.params,
    grid: [ceilDiv(rows, WG), ceilDiv(depth, GROUP), 1] as const,
    buffers: { raw: encode([...raw, ...spare], SOURCE), words, scales },
    want,
    terms: 1,
  };
}

export default spec({
  kernel: pack_float,
  cases: 60,
  make: (seed) => make(seed),
  race: "no workgroup memory; the interpreter computes column_of once for all invocations",
  mutants: [
    ["rows stay permuted", "params.interleaved == 1u", "false"],
    ["pairs of turned rows part", "let part = select(rest / 2u, pairs, isTurned);", "let part = params.headRows / 2u;"],
    [
      "truncates",
      "round((source(first + i) - affine.y) / affine.x)",
      "trunc((source(first + i) - affine.y) / affine.x)",
    ],
    ["odd rows read even halves", "(16u * (i % 2u))", "0u"],
  ],
});

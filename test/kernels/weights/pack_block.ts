import { ceilDiv } from "../../../src/errors.ts";
import { pack_block } from "../../../src/gpu/kernels.gen.ts";
import { type Block, type BlockFormat, blockFormats } from "../gguf.ts";
import { floatBits, halfBits, halfOf, wordAt } from "../matrix.ts";
import { emptyMatrix, place, randomTarget, wantWords } from "../packing.ts";
import { pick, random, spec } from "../spec.ts";

/**
 * A random block. Few mantissa bits in the f16 fields keep scale·q + minimum exact in f32: one rounding, to f16. MXFP4's
 * exponents are within what f16 holds.
 */
function randomBlock(uniform: () => number, format: BlockFormat): Uint8Array {
  const bytes = Uint8Array.from({ length: format.bytes }, () => Math.floor(uniform() * 256));
  if (format.name === "MXFP4") bytes[0] = 116 + Math.floor(uniform() * 20);
  for (const offset of format.halves) {
    const bits =
      (Math.floor(uniform() * 2) << 15) | ((7 + Math.floor(uniform() * 6)) << 10) | (Math.floor(uniform() * 8) << 7);
    bytes[offset] = bits & 255;
    bytes[offset + 1] = bits >> 8;
  }
  return bytes;
}

/** A block and what becomes of it. Rounded anew, every decision is clear of f32's errors: others are drawn again. */
function drawBlock(uniform: () => number, format: BlockFormat, anew: { bits: number; group: number } | null) {
  for (;;) {
    const bytes = randomBlock(uniform, format);
    const own = format.decode(bytes, 0);
    const block = anew ? requantised(own, anew.bits, anew.group) : own;
    if (block) return { bytes, block };
  }
}

/** Bits and group that hold the format's blocks as they are. */
function ownForm({ name }: BlockFormat): { bits: number; group: number } {
  return { bits: name.startsWith("Q4_") ? 4 : 8, group: /^Q[236]_K$/.test(name) ? 16 : 32 };
}

/** The block in `bits` bits, with a scale and a minimum for each group of its values; null: too close to call in f32. */
function requantised({ q, scale, minimum }: Block, bits: number, group: number): Block | null {
  const most = 2 ** bits - 1;
  const values = q.map((integer, i) => scale[i >> 4]! * integer + minimum[i >> 4]!);
  const fresh: Block = { q: [], scale: [], minimum: [] };
  for (let first = 0; first < values.length; first += group) {
    const own = values.slice(first, first + group);
    const low = Math.min(...own);
    if (low === 0) return null; // of either sign
    const step = (Math.max(...own) - low) / most;
    if (halfBits(step * (1 - 1e-6)) !== halfBits(step * (1 + 1e-6))) return null;
    const [s, m] = [halfOf(halfBits(step)), halfOf(halfBits(low))];
    const codes = own.map((value) => (s > 0 ? Math.min(most, Math.max(0, (value - m) / s)) : 0));
    if (codes.some((code) => Math.abs((code % 1) - 0.5) < 1e-3)) return null;
    fresh.q.push(...codes.map(Math.round));
    for (let i = 0; i < group; i += 16) {
      fresh.scale.push(s);
      fresh.minimum.push(m);
    }
  }
  return fresh;
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const SOURCE = tiny ? 2 : Math.floor(uniform() * blockFormats.length);
  const format = blockFormats[SOURCE]!;
  const own = ownForm(format);
  const BITS = tiny ? 8 : pick(uniform, own.bits === 8 ? [4, 8, 8, 16, 32] : [4, 4, 8, 16, 32]);
  const GROUP = pick(uniform, [16, 32]);
  const FRESH = BITS < own.bits || (BITS <= 8 && GROUP > own.group);
  const WG = tiny ? 4 : pick(uniform, [32, 64]);
  const blocks = tiny ? 1 : pick(uniform, [1, 2, 3]);
  const target = randomTarget(uniform, blocks * format.values, tiny);
  const { rows, depth, stride } = target.params;
  const bytes: number[] = [];
  const { words, scales } = emptyMatrix(target, BITS, GROUP);
  const want = { words: words.slice(), scales: scales.slice() };
  target.columns.forEach((column) => {
    for (let j = 0; j < depth / (32 / BITS); j++) want.words[wordAt(j, column, stride)] = 0;
    for (let b = 0; b < blocks; b++) {
      const { block, bytes: drawn } = drawBlock(uniform, format, FRESH ? { bits: BITS, group: GROUP } : null);
      const { q, scale, minimum } = block;
      bytes.push(...drawn);
      q.forEach((integer, i) => {
        const k = b * format.values + i;
        const [s, m] = [scale[i >> 4]!, minimum[i >> 4]!];
        const value = s * integer + m;
        place(
          want.words,
          BITS,
          { k, column, stride },
          BITS === 32 ? floatBits(value) : BITS === 16 ? halfBits(value) : integer,
        );
        if (BITS <= 8) want.scales[Math.floor(k / GROUP) * stride + column] = (halfBits(s) | (halfBits(m) << 16)) >>> 0;
      });
    }
  });
  const raw = new Uint8Array(alignedLength(bytes.length));
  raw.set(bytes);
  return {
    label: `${format.name}${FRESH ? " anew," : ""} rows ${rows} K ${depth} BITS ${BITS} GROUP ${GROUP} ${JSON.stringify(target.params)}`,
    constants: { WG, SOURCE, BITS, GROUP, FRESH: Number(FRESH) },
    params: target.params,
    grid: [ceilDiv(rows, WG), depth / GROUP, 1] as const,
    buffers: { raw: new Uint32Array(raw.buffer), words, scales },
    want: { words: wantWords(BITS, want.words), scales: want.scales },
    terms: 1,
  };
}

const alignedLength = (bytes: number): number => ceilDiv(bytes, 4) * 4;

export default spec({
  kernel: pack_block,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["rows begin on words", "* block_bytes();", "* block_bytes() / 4u * 4u;"],
    ["Q6_K scales unsigned", "(f32(byte(at + 192u + k / 16u) ^ 128u) - 128.0)", "f32(byte(at + 192u + k / 16u))"],
    ["Q3_K's upper bits in file order", "(i / 4u * 2u)", "(i % 4u * 2u)"],
    [
      "the range of one value",
      "for (var i = 1u; i < GROUP; i++) {\n    let next",
      "for (var i = 1u; i < 2u; i++) {\n    let next",
    ],
    ["up columns on gate columns", "(params.columnMode - 1u) * 4u", "0u"],
  ],
});

import { ceilDiv } from "../../../src/errors.ts";
import { pack_block } from "../../../src/gpu/kernels.gen.ts";
import { type BlockFormat, blockFormats } from "../gguf.ts";
import { floatBits, halfBits, wordAt } from "../matrix.ts";
import { emptyMatrix, place, randomTarget, wantWords } from "../packing.ts";
import { pick, random, spec } from "../spec.ts";

/** Random blocks. Few mantissa bits in the f16 fields keep scale·q + minimum exact in f32: one rounding, to f16. */
function randomBlocks(uniform: () => number, format: BlockFormat, count: number): Uint8Array {
  const bytes = Uint8Array.from({ length: count * format.bytes }, () => Math.floor(uniform() * 256));
  for (let block = 0; block < count; block++) {
    for (const offset of format.halves) {
      const bits =
        (Math.floor(uniform() * 2) << 15) | ((7 + Math.floor(uniform() * 6)) << 10) | (Math.floor(uniform() * 8) << 7);
      bytes[block * format.bytes + offset] = bits & 255;
      bytes[block * format.bytes + offset + 1] = bits >> 8;
    }
  }
  return bytes;
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const SOURCE = tiny ? 2 : pick(uniform, [0, 1, 2, 3, 4]);
  const format = blockFormats[SOURCE]!;
  const BITS = tiny ? 8 : pick(uniform, SOURCE === 2 || SOURCE === 4 ? [8, 8, 16, 32] : [4, 4, 8, 16, 32]);
  const GROUP = SOURCE === 4 ? 16 : pick(uniform, [16, 32]);
  const WG = tiny ? 4 : pick(uniform, [32, 64]);
  const blocks = tiny ? 1 : pick(uniform, [1, 2, 3]);
  const target = randomTarget(uniform, blocks * format.values, tiny);
  const { rows, depth, stride } = target.params;
  const bytes = randomBlocks(uniform, format, rows * blocks);
  const { words, scales } = emptyMatrix(target, BITS, GROUP);
  const want = { words: words.slice(), scales: scales.slice() };
  target.columns.forEach((column, row) => {
    for (let j = 0; j < depth / (32 / BITS); j++) want.words[wordAt(j, column, stride)] = 0;
    for (let b = 0; b < blocks; b++) {
      const { q, scale, minimum } = format.decode(bytes, (row * blocks + b) * format.bytes);
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
    label: `${format.name} rows ${rows} K ${depth} BITS ${BITS} GROUP ${GROUP} ${JSON.stringify(target.params)}`,
    constants: { WG, SOURCE, BITS, GROUP },
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
    ["up columns on gate columns", "(params.columnMode - 1u) * 4u", "0u"],
  ],
});

import { quantise_rows } from "../../../src/gpu/kernels.gen.ts";
import { floatOf } from "../matrix.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** Constants: pipelines are what costs time, so cases share them. */
const VARIANTS = [
  { WG: 64, NORM: 1, BITS: 4, GROUP: 32 },
  { WG: 4, NORM: 0, BITS: 8, GROUP: 16 },
  { WG: 128, NORM: 0, BITS: 4, GROUP: 32 },
  { WG: 8, NORM: 1, BITS: 8, GROUP: 32 },
] as const;

/** Units and steps of f32 are off by so much of a unit: a quotient, a product and the norm's factor. */
const SLACK = 127 * 2 ** -24 * 16;

type Variant = (typeof VARIANTS)[number];

/** Values of one block in float64, its step and its units before rounding. */
function blockOf(values: Float64Array): { step: number; units: Float64Array } {
  const size = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const step = size < 1e-30 ? 0 : size / 127;
  return { step, units: values.map((value) => (step === 0 ? 0 : value / step)) };
}

/** Where unit k of a block lies among its bytes. */
function byteOf(k: number, bits: number): number {
  if (bits === 8) return k;
  const [eight, within] = [Math.floor(k / 8), k % 8];
  return 8 * eight + 4 * (within % 2) + Math.floor(within / 2);
}

/** Bytes of words from `at` on, signed. */
const byteAt = (words: Uint32Array, at: number): number => (words[at >> 2]! << (24 - 8 * (at % 4))) >> 24;

/** Rows of x normalised, [rows, depth]. */
function inputs(x: Float32Array, gamma: Float32Array, { NORM }: Variant, { rows, first, depth, eps }: Shape) {
  return Array.from({ length: rows }, (_, t) => {
    const row = Float64Array.from(x.subarray((first + t) * depth, (first + t + 1) * depth));
    if (NORM === 0) return row;
    const factor = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / depth + eps);
    return row.map((value, k) => value * factor * gamma[k]!);
  });
}

interface Shape {
  rows: number;
  first: number;
  depth: number;
  eps: number;
}

/** Random rows in which some blocks are zero, some below what has a step, some of one large value. */
function rowsOf(uniform: () => number, { rows, depth }: Shape, group: number): Float32Array {
  const x = floats(uniform, rows * depth, 10 ** pick(uniform, [-6, -1, 0, 4]));
  for (let at = 0; at < x.length; at += group) {
    const kind = pick(uniform, ["plain", "plain", "plain", "zero", "tiny", "one"]);
    if (kind === "zero") x.fill(0, at, at + group);
    if (kind === "tiny") x.fill(2e-38, at, at + group);
    if (kind === "one") x[at + Math.floor(uniform() * group)] = -1000;
  }
  return x;
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const constants = tiny ? { WG: 4, NORM: 1, BITS: 4, GROUP: 16 } as unknown as Variant : VARIANTS[seed % VARIANTS.length]!; // prettier-ignore
  const { GROUP, BITS } = constants;
  const shape = {
    rows: tiny ? 2 : pick(uniform, [1, 2, 3, 7]),
    first: pick(uniform, [0, 0, 1, 4]),
    depth: GROUP * (tiny ? 3 : pick(uniform, [1, 2, 3, 18, 65])),
    eps: Math.fround(pick(uniform, [1e-5, 0.5])),
  };
  const { rows, first, depth } = shape;
  const x = new Float32Array((first + rows + 1) * depth).fill(Number.NaN); // rows that decode, and the one beyond
  x.set(rowsOf(uniform, shape, GROUP), first * depth);
  const gamma = floats(uniform, depth, 2);
  const blocks = inputs(x, gamma, constants, shape).flatMap((row) =>
    Array.from({ length: depth / GROUP }, (_, i) => blockOf(row.slice(i * GROUP, (i + 1) * GROUP))),
  );

  const judgeUnits = (words: Uint32Array): string | null => {
    for (const [i, { units }] of blocks.entries())
      for (const [k, unit] of units.entries()) {
        const got = byteAt(words, i * GROUP + byteOf(k, BITS));
        if (Math.abs(got - unit) > 0.5 + SLACK) return `: unit ${k} of block ${i} = ${got}, want ${unit} rounded`;
      }
    return null;
  };
  // the norm's factor is a sum of K squares
  const relative = ((constants.NORM ? 8 * Math.sqrt(depth) : 0) + 16) * 2 ** -24;
  const judgePairs = (words: Uint32Array): string | null => {
    for (const [i, { step, units }] of blocks.entries()) {
      const [gotStep, gotSum] = [floatOf(words[2 * i]!), floatOf(words[2 * i + 1]!)];
      if (!(Math.abs(gotStep - step) <= relative * step)) return `: step of block ${i} = ${gotStep}, want ${step}`;
      const between = units.filter((unit) => Math.abs(Math.abs(unit % 1) - 0.5) <= SLACK).length; // may be rounded either way
      const sum = units.reduce((all, unit) => all + Math.round(unit), 0);
      const off = Math.abs(gotSum - step * sum);
      const rounding = 2 * relative * Math.abs(step * sum);
      if (!(off <= between * step * 1.001 + rounding)) return `: sum of block ${i} = ${gotSum}, want ${step * sum}`;
    }
    return null;
  };
  return {
    label: `${JSON.stringify(shape)} ${JSON.stringify(constants)}`,
    constants,
    params: { first, depth, eps: shape.eps },
    grid: [rows, 1, 1] as const,
    buffers: {
      x,
      gamma,
      units: new Uint32Array((rows * depth) / 4).fill(0x7fc0dead),
      pairs: new Float32Array((2 * rows * depth) / GROUP).fill(Number.NaN),
    },
    want: { units: judgeUnits, pairs: judgePairs },
    terms: depth,
  };
}

export default spec({
  kernel: quantise_rows,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["words in plain order", "packed(a.x, a.z, b.x, b.z)", "packed(a.x, a.y, a.z, a.w)"],
    ["rows from 0 on", "params.first + wg.x", "wg.x"],
    ["the step of the first four", "sizes = max(sizes, abs(inputs[i]));", "sizes = max(sizes, abs(inputs[0]));"],
    ["no norm", "return raw * factor * gamma[k4];", "return raw * gamma[k4];"],
    ["tiny blocks overflow", "size < LEAST", "size == 0.0"],
  ],
});

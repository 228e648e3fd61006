import { ceilDiv } from "../../../src/errors.ts";
import { gemv_deep } from "../../../src/gpu/kernels.gen.ts";
import { projection, VARIANTS } from "../projection.ts";
import { spec } from "../spec.ts";

// Sets of constants of every day: each format, epilogue and number of rows, with and without norm. They compile for long.
const QUICK = [0, 1, 3, 7, 12];
const MORE = Array.from({ length: VARIANTS }, (_, i) => i).filter((variant) => !QUICK.includes(variant));
const CASES = 9 * QUICK.length;

/** The seed of a case: of its variant, which is the seed modulo VARIANTS. */
function seedOf(at: number): number {
  const [list, i] = at < CASES ? [QUICK, at] : [MORE, at - CASES];
  return list[i % list.length]! + VARIANTS * Math.floor(i / list.length);
}

/** Of the first set of constants columns differ in the weight of the norm. */
const LATER = { from: 8, at: 1024 };

function make(at: number, tiny = false) {
  const seed = seedOf(at);
  const later = seed % VARIANTS === 0 && !tiny ? LATER : undefined;
  const { constants, columns, label, ...rest } = projection(seed, tiny, undefined, later);
  const { UNIT: _, ...own } = constants; // this kernel's follows from GROUP
  const gated = own.EPILOGUE >= 2;
  const variant = seed % VARIANTS;
  const COLS = gated ? 8 : tiny ? 2 : [2, 4, 8][variant % 3]!;
  // SwiftShader compiles one store for each float of workgroup memory: production sizes with one row, small ones with more.
  const fitting = [64, 24, 8].filter((slices) => slices * own.ROWS * (COLS + 1) <= 600);
  const SLICES = tiny ? 8 : fitting[variant % fitting.length]!;
  return {
    ...rest,
    label: `${label} COLS ${COLS} SLICES ${SLICES}`,
    constants: { ...own, COLS, SLICES, LATER_FROM: later?.from ?? 0, LATER_GAMMA: later?.at ?? 0 },
    grid: [ceilDiv(columns, COLS), 1, 1] as const,
  };
}

export default spec({
  kernel: gemv_deep,
  cases: CASES,
  allCases: CASES + 3 * MORE.length,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["missing barrier", "workgroupBarrier();", ""],
    ["norm of the first slices only", "whole(SUMS + m)", "sums[(SUMS + m) * SLICES]"],
    ["a thread's first words only", "let four = slice + (left - 1u) * SLICES;", "let four = slice;"],
    ["one weight of the norm for all columns", "select(LATER_GAMMA / 4u, 0u, first < LATER_FROM)", "0u"],
    ["even inputs for odd weights", "vec4f(a.yw, b.yw)", "vec4f(a.xz, b.xz)"],
  ],
});

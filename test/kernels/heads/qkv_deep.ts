import { qkv_deep } from "../../../src/gpu/kernels.gen.ts";
import { QKV_VARIANTS, qkvCase } from "../qkv_case.ts";
import { spec } from "../spec.ts";

// Variants with pages of f32 and f16; this kernel norms no heads.
const QUICK = [0, 10, 18];
const ROUNDS = 14;
const MORE = [2, 4, 6, 8, 12, 14, 16, 20, 22];

function make(seed: number, tiny = false) {
  const cases = QUICK.length * ROUNDS;
  const [list, at] = seed < cases ? [QUICK, seed] : [MORE, seed - cases];
  const variant = list[at % list.length]!;
  const own = variant + QKV_VARIANTS * Math.floor(at / list.length);
  const { heads, constants, opening, label, ...rest } = qkvCase(own, "narrow", 1, tiny, { HEAD_NORM: 0 });
  const { UNIT: _, ...format } = opening; // this kernel's follows from GROUP
  const { HEAD_NORM: __, ...shape } = constants;
  const COLS = [4, 8, 16].filter((columns) => shape.E % columns === 0)[variant % 3] ?? 4;
  const fitting = [24, 8].filter((slices) => slices * format.ROWS * (COLS + 1) <= 600);
  const SLICES = fitting[variant % fitting.length] ?? 8;
  return {
    ...rest,
    label: `${label} COLS ${COLS} slices ${SLICES}`,
    constants: { ...shape, ...format, COLS, SLICES },
    grid: [heads, shape.E / COLS, 1] as const,
  };
}

export default spec({
  kernel: qkv_deep,
  cases: QUICK.length * ROUNDS,
  allCases: QUICK.length * ROUNDS + 4 * MORE.length,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["queries turn as keys do", "select(0u, params.queryTurns, isQuery)", "0u"],
    ["ignores the arena", "if (entry.z != params.arena) { continue; }", ""],
    ["one gamma for all", "select(params.gammaKv, params.gammaQ, isQuery)", "params.gammaQ"],
    ["the second half beside the first", "m * E + E / 2u + first)", "m * E + HALF + first)"],
  ],
});

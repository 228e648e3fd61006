import { qkv_split } from "../../../src/gpu/kernels.gen.ts";
import { QKV_VARIANTS, qkvCase, qkvSeed } from "../qkv_case.ts";
import { spec } from "../spec.ts";

// Every format of weights and of pages, with and without head norm.
const CASES = 45;
const QUICK = [1, 8, 7, 2, 11, 18, 9, 14, 4];
const MORE = [6, 12, 10, 15, 3, 5, 17, 22];

/** Threads along K. SwiftShader compiles one store for each float of workgroup memory: many slices only with few rows. */
function slicesOf(variant: number, E: number, rows: number): number {
  const fitting = [8, 3, 4, 2, 1].filter((slices) => slices * E * Math.max(2, rows) <= 1024); // 2: at most 256 threads
  return fitting[variant % fitting.length]!;
}

function make(seed: number) {
  const own = qkvSeed(seed, CASES, QUICK, MORE);
  const { heads, constants, opening, label, ...rest } = qkvCase(own, "narrow");
  const SLICES = slicesOf(own % QKV_VARIANTS, constants.E, opening.ROWS);
  return {
    ...rest,
    label: `${label} slices ${SLICES}`,
    constants: { ...constants, ...opening, SLICES },
    grid: [heads, 1, 1] as const,
  };
}

export default spec({
  kernel: qkv_split,
  cases: CASES,
  allCases: CASES + 5 * MORE.length,
  make,
  race: () => make(4), // int4, head norm: all barriers matter
  mutants: [
    ["the first norm's epsilon for heads", "params.headEps", "params.eps"],
    ["queries turn as keys do", "select(0u, params.queryTurns, isQuery)", "0u"],
    ["missing barrier", "workgroupBarrier();", ""],
    ["norm of the first slice only", "square += squares[t * SLICES + s];", "square += squares[t * SLICES];"],
    ["ignores the arena", "isRow && entry.z == params.arena", "isRow"],
    ["keys normalised by the weights of queries", "select(params.keyNormAt + head.owner * E, params.queryNormAt, isQuery)", "params.queryNormAt"], // prettier-ignore
    ["scale without the minimum", "(most - bitcast<f32>(minimum))", "most"],
  ],
});

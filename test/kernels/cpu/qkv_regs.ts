import { ceilDiv } from "../../../src/errors.ts";
import { qkv_regs } from "../../../src/gpu/kernels.gen.ts";
import { qkvCase, qkvSeed } from "../qkv_case.ts";
import { pick, random, spec } from "../spec.ts";

const CASES = 48;
const QUICK = [1, 8, 7, 2, 11, 9];
const MORE = [0, 3, 4, 5, 6, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];

function make(seed: number, tiny = false) {
  const { opening: _, heads, rows, params, ...rest } = qkvCase(qkvSeed(seed, CASES, QUICK, MORE), "wide", 16, tiny);
  const side = pick(random(seed), [1, 2, heads]); // workgroups side by side
  return { ...rest, params: { ...params, heads }, grid: [side, ceilDiv(rows, 16), 1] as const };
}

export default spec({
  kernel: qkv_regs,
  cases: CASES,
  allCases: CASES + 2 * MORE.length,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["queries turn as keys do", "select(0u, params.queryTurns, isQuery)", "0u"],
    ["rotates the other way", "low * by.cosine - high * by.sine", "low * by.cosine + high * by.sine"],
    ["ignores the arena", "isQuery || entry.z != params.arena", "isQuery"],
    ["lanes in the wrong order", "(lane ^ 2u)", "(lane ^ 1u)"],
  ],
});

import { ceilDiv } from "../../../src/errors.ts";
import { qkv_regs } from "../../../src/gpu/kernels.gen.ts";
import { qkvCase } from "../qkv_case.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const { opening: _, heads, rows, params, ...rest } = qkvCase(seed, "wide", 16, tiny);
  const side = pick(random(seed), [1, 2, heads]); // workgroups side by side
  return { ...rest, params: { ...params, heads }, grid: [side, ceilDiv(rows, 16), 1] as const };
}

export default spec({
  kernel: qkv_regs,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["rotates the other way", "low * by.cosine - high * by.sine", "low * by.cosine + high * by.sine"],
    ["ignores the arena", "isQuery || entry.z != params.arena", "isQuery"],
    ["lanes in the wrong order", "(lane ^ 2u)", "(lane ^ 1u)"],
  ],
});

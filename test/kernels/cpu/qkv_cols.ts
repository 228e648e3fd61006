import { qkv_cols } from "../../../src/gpu/kernels.gen.ts";
import { qkvCase } from "../qkv_case.ts";
import { spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const { constants, opening, heads, ...rest } = qkvCase(seed, "narrow", 1, tiny);
  return { ...rest, constants: { ...constants, ...opening }, grid: [heads, 1, 1] as const };
}

export default spec({
  kernel: qkv_cols,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["queries turn as keys do", "select(0u, params.queryTurns, isQuery)", "0u"],
    ["rotates the other way", "a * turn.x - b * turn.y", "a * turn.x + b * turn.y"],
    ["ignores the arena", "isQuery || away", "isQuery"],
    ["keys of every owner by the first one's norm", "params.keyNormAt + own.owner * E", "params.keyNormAt"],
  ],
});

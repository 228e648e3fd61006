import { rope_kv8 } from "../../src/gpu/kernels.gen.ts";
import { ropeCase } from "./rope_kv.ts";
import { spec } from "./spec.ts";

function make(seed: number, tiny = false) {
  const base = ropeCase(seed, [8], tiny);
  const { KV_BITS: _, ...constants } = base.constants;
  return { ...base, constants };
}

export default spec({
  kernel: rope_kv8,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(6, true),
  mutants: [
    ["rotates the other way", "a * turn.x - b * turn.y", "a * turn.x + b * turn.y"],
    ["ignores the part", "isQuery || entry.z != params.part", "isQuery"],
    ["v quantised with the scale of k", "step.y", "step.x"],
  ],
});

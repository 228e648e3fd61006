import { logit_prompt } from "../../../src/gpu/kernels.gen.ts";
import { PROMPT_BIT } from "../sample_reference.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64]);
  const V = pick(uniform, [1, 7, 300]);
  const N = tiny ? 6 : pick(uniform, [1, WG - 1, WG, WG + 1, 201]);
  const slots = 3;
  const slot = Math.floor(uniform() * slots);
  const ids = Uint32Array.from({ length: N + 2 }, () => Math.floor(uniform() * (V + 2)));
  const counts = Uint32Array.from({ length: slots * V }, () => pick(uniform, [0, 3, PROMPT_BIT]));
  const want = counts.slice();
  for (const id of ids.subarray(0, N)) if (id < V) want[slot * V + id]! |= PROMPT_BIT;
  return {
    label: `V ${V} N ${N} WG ${WG} slot ${slot}`,
    constants: { WG },
    params: { idCount: N, slot, vocabulary: V },
    grid: [Math.ceil(N / WG), 1, 1] as const,
    buffers: { ids, counts },
    want: { counts: want },
    terms: 1,
  };
}

export default spec({
  kernel: logit_prompt,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(5, true),
  mutants: [
    ["neighbour's row", "token >= params.vocabulary", "token > params.vocabulary"],
    ["list overrun", "id.x >= params.idCount", "false"],
    ["count lost", "atomicOr(", "atomicExchange("],
  ],
});

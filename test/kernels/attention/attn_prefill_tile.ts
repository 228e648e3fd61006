import { attn_prefill_tile } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES } from "../attn_case.ts";
import { prefillCase } from "../cpu/attn_prefill_regs.ts";
import { spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const base = prefillCase(seed, tiny);
  const WG = tiny ? 8 : base.constants.E % 32 === 0 ? 64 : 32; // one per shape: each compiles for seconds
  const grid = [Math.ceil(base.params.count / (WG / 2)), base.constants.H, 1] as const;
  return { ...base, label: `${base.label} WG ${WG}`, constants: { ...base.constants, WG }, grid };
}

export default spec({
  kernel: attn_prefill_tile,
  ...ATTENTION_CASES,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["sees the future", "entry.w + 31u <= firstPosition", "entry.w + 31u <= lastPosition", 2],
    [
      "reads unwritten values",
      "let pairs = select(vec4u(), raw, ((written >> slot) & 1u) == 1u);",
      "let pairs = raw;",
      1,
    ],
    ["forgets to rescale", "acc[r * COLUMNS + 2u * half] * keep[r]", "acc[r * COLUMNS + 2u * half]"],
  ],
});

import { attn_prefill_tile } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES } from "../attn_case.ts";
import { prefillCase } from "../cpu/attn_prefill_regs.ts";
import { spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const base = prefillCase(seed, tiny);
  const WG = tiny ? 8 : base.constants.E % 32 === 0 ? 64 : 32; // one per shape: each compiles for seconds
  const { H, G, E } = base.constants;
  const fits = 8192 + 64 * WG + 2 * WG * E <= 16_384; // what every adapter has of workgroup memory
  const SHARE = tiny || (E % 16 === 0 && fits) ? 1 : 0;
  const tokens = Math.floor(WG / 2 / (H / G));
  const grid = [Math.ceil(base.params.count / tokens), G, 1] as const;
  return { ...base, label: `${base.label} WG ${WG} SHARE ${SHARE}`, constants: { ...base.constants, WG, SHARE }, grid };
}

export default spec({
  kernel: attn_prefill_tile,
  ...ATTENTION_CASES,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["another head's query", "group * R + line % R) * E4", "group * R + line / TOKENS) * E4", 9],
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

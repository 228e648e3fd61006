import { attn_decode_regs } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES } from "../attn_case.ts";
import { decodeCase } from "../attention/attn_decode.ts";
import { spec } from "../spec.ts";

export default spec({
  kernel: attn_decode_regs,
  ...ATTENTION_CASES,
  make: (seed) => decodeCase(seed),
  race: "wgsl_reflect does not run quad functions; the kernel shares no memory between invocations",
  mutants: [
    ["window off by one", "params.window + 1u", "params.window"],
    ["reads hidden values", "if (KV_BITS < 32u) { return words; }", "if (KV_BITS <= 32u) { return words; }"],
    ["reads hidden scales", "select(0u, kv[pairAt + 8u + quad][lane], shown)", "kv[pairAt + 8u + quad][lane]", 2],
    ["forgets to rescale", "o[h] * keep[h]", "o[h] * select(keep[h], 1.0, h == 0u)", 1],
    ["forgets the highest units' half", "select(0.0, HALF * pair.x, u == UNITS - 1u)", "0.0", 2],
    ["forgets the sign of f16", "0x8fffffffu", "0x0fffffffu", 1],
  ],
});

import { attn_decode_regs } from "../../src/gpu/kernels.gen.ts";
import { decodeCase } from "./attn_decode.ts";
import { spec } from "./spec.ts";

export default spec({
  kernel: attn_decode_regs,
  cases: 48,
  make: (seed) => decodeCase(seed),
  race: "wgsl_reflect does not run quad functions; the kernel shares no memory between invocations",
  mutants: [
    ["window off by one", "params.window + 1u", "params.window"],
    ["reads hidden values", "select(vec4u(), vec4u(ALL), shown)", "vec4u(ALL)"],
    ["forgets to rescale", "next[h] *= soft[h].keep", "next[h] *= select(soft[h].keep, 1.0, h == 0u)"],
  ],
});

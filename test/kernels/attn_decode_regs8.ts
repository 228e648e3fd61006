import { attn_decode_regs8 } from "../../src/gpu/kernels.gen.ts";
import { decodeCase } from "./attn_decode.ts";
import { spec } from "./spec.ts";

function make(seed: number) {
  const base = decodeCase(seed + 48);
  const { KV_BITS: _, ...constants } = base.constants;
  return { ...base, constants };
}

export default spec({
  kernel: attn_decode_regs8,
  cases: 48,
  make,
  race: "wgsl_reflect does not run quad functions; the kernel shares no memory between invocations",
  mutants: [
    ["window off by one", "params.window + 1u", "params.window"],
    ["reads hidden scales", "select(vec4u(), column4(page + E * 16u + lane), near)", "column4(page + E * 16u + lane)"],
    ["forgets to rescale", "next.h0 *= soft[0].keep;", ""],
  ],
});

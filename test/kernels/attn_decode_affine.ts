import { attn_decode_affine } from "../../src/gpu/kernels.gen.ts";
import { decodeCase } from "./attn_decode.ts";
import { spec } from "./spec.ts";

export default spec({
  kernel: attn_decode_affine,
  cases: 64,
  make: (seed) => decodeCase(seed + 48),
  race: "wgsl_reflect does not run quad functions; the kernel shares no memory between invocations",
  mutants: [
    ["window off by one", "params.window + 1u", "params.window"],
    ["reads hidden scales", "select(0u, kv[affine + 32u + slot], shown)", "kv[affine + 32u + slot]"],
    ["forgets to rescale", "o[h] * keep[h]", "o[h] * select(keep[h], 1.0, h == 0u)"],
    ["forgets the highest units' half", "value.w += HALF * sums.y;", ""],
  ],
});

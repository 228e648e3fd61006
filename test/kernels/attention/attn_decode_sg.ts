import { attn_decode_sg } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES } from "../attn_case.ts";
import { decodeCase } from "./attn_decode.ts";
import { spec } from "../spec.ts";

function make(seed: number) {
  const base = decodeCase(seed);
  // Four lanes are at most the subgroup of any adapter; test/kernels cannot ask for its size.
  return { ...base, constants: { ...base.constants, LANES: 4 } };
}

export default spec({
  kernel: attn_decode_sg,
  ...ATTENTION_CASES,
  make,
  race: "wgsl_reflect does not run subgroup functions; the kernel shares no memory between invocations",
  mutants: [
    ["window off by one", "params.window + 1u", "params.window"],
    ["weights not handed round", "subgroupShuffle(weights[h * SLOTS + s], source)", "weights[h * SLOTS + s]"],
    ["forgets to rescale", "acc[h * COLUMNS + c] *= keep;", "", 1],
    ["minima of V forgotten", "low[h] += weight * affine[s].w;", "", 2],
  ],
});

import { attn_decode_vec } from "../../../src/gpu/kernels.gen.ts";
import { vectorLanes } from "../../../src/model/ops/variant.ts";
import { spec } from "../spec.ts";
import { decodeCase } from "./attn_decode.ts";

/** [H, G, E, KV_BITS]: loads of 16 bytes want E·KV_BITS in multiples of 128. */
const SHAPES = [
  [4, 4, 8, 32],
  [4, 1, 16, 16],
  [3, 1, 48, 8],
  [2, 1, 32, 4],
] as const;

const MORE_SHAPES = [
  [6, 3, 64, 16],
  [8, 1, 8, 16],
  [14, 2, 16, 16],
  [9, 3, 64, 16],
  [3, 1, 64, 32],
  [4, 2, 80, 16],
  [5, 1, 48, 32],
  [8, 1, 32, 16],
  [2, 1, 96, 16],
  [2, 1, 128, 16],
  [9, 3, 64, 8],
  [2, 1, 128, 8],
  [4, 1, 64, 4],
  [2, 1, 128, 4],
  [2, 1, 256, 16],
] as const;

const CASES = 11 * SHAPES.length;

function make(seed: number, subgroup: number) {
  const shape = seed < CASES ? SHAPES[seed % SHAPES.length]! : MORE_SHAPES[(seed - CASES) % MORE_SHAPES.length]!;
  const base = decodeCase(seed, false, shape);
  const SUBGROUPS = ([4, 2, 1] as const)[shape[0] % 3]!;
  const LANES = Math.min(32, subgroup);
  const V_LANES = vectorLanes(LANES, shape[2], shape[3]);
  return {
    ...base,
    label: `${base.label} LANES ${LANES} SUBGROUPS ${SUBGROUPS}`,
    constants: { ...base.constants, LANES, V_LANES, SUBGROUPS },
  };
}

export default spec({
  kernel: attn_decode_vec,
  cases: CASES,
  allCases: CASES + 5 * MORE_SHAPES.length,
  make,
  race: "wgsl_reflect does not run subgroup functions; the subgroups meet at one barrier, and each writes its own part",
  mutants: [
    ["window off by one", "params.window + 1u", "params.window", 24],
    ["hidden values count", "select(vec4u(), raw, ((mask >> slot) & 1u) == 1u)", "raw", 4],
    ["forgets to rescale", "acc[i] *= keep[i / SUMS];", "", 8],
    ["one subgroup's maximum for all", "exp(tops[s * R + h] - most)", "1.0", 8],
    ["minima of V forgotten", "vec2f(sum[h], low[h])", "vec2f(sum[h], 0.0)", 26],
  ],
});

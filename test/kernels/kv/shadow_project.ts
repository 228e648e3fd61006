import { ceilDiv } from "../../../src/errors.ts";
import { shadow_project } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";
import { eighths, halves, type Near } from "./shadow_case.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [D, RANK] = tiny ? ([5, 4] as const) : ([[24, 12], [8, 8], [70, 4], [192, 68]] as const)[seed % 4]!; // prettier-ignore
  const BITS = [16, 8][Math.floor(seed / 4) % 2]!;
  const WG = tiny ? 2 : 16;
  const tokens = tiny ? 3 : pick(uniform, [1, 2, 8, 9, 33]);
  const first = pick(uniform, [0, 7]);
  const capacity = first + tokens + pick(uniform, [0, 3]);
  const x = floats(uniform, tokens * D);
  const down = floats(uniform, D * RANK);
  const shift = floats(uniform, RANK);
  const factors = new Uint32Array((capacity * RANK * BITS) / 32).fill(0xdeadbeef);
  const pairs = new Map<number, [Near, Near]>();
  const fours = new Map<number, Near[]>();
  const factor = (i: number, j: number): Near => {
    let value = shift[j]!;
    for (let k = 0; k < D; k++) value += x[i * D + k]! * down[k * RANK + j]!;
    return { value, error: 8 * Math.sqrt(D) * 2 ** -24 * (1 + D / 4) };
  };
  for (let i = 0; i < tokens; i++) {
    for (let p = 0; p < RANK / 2; p++) {
      const at = ((first + i) * RANK) / 2 + p;
      pairs.set(at, [factor(i, 2 * p), factor(i, 2 * p + 1)]);
    }
    for (let f = 0; f < RANK / 4; f++) {
      const at = ((first + i) * RANK) / 4 + f;
      fours.set(
        at,
        [0, 1, 2, 3].map((j) => factor(i, 4 * f + j)),
      );
    }
  }
  return {
    label: `${tokens} tokens from ${first}, ${D} → ${RANK} of ${BITS} bits, room for ${capacity}`,
    constants: { WG, D, RANK, BITS },
    params: { first, tokens },
    grid: [ceilDiv(RANK / 4, WG), ceilDiv(tokens, 8), 1] as const,
    buffers: { x, down, shift, factors },
    want: { factors: BITS === 8 ? eighths(factors, fours) : halves(factors, pairs) },
    terms: D,
  };
}

export default spec({
  kernel: shadow_project,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    ["no shift", "sums[i] = shift[four]", "sums[i] = vec4f()"],
    ["beyond the last token", "i < min(TOKENS, params.tokens - token)", "i < TOKENS"],
    ["another place", "params.first + token", "token"],
    ["codes not cut", "clamp(four * (127.0 / 8.0), vec4f(-127.0), vec4f(127.0))", "four * (127.0 / 8.0)"],
    ["another step", "four * (127.0 / 8.0)", "four * (127.0 / 4.0)"],
    ["the factors in another order", "codes.x | (codes.y << 8u)", "codes.y | (codes.x << 8u)"],
  ],
});

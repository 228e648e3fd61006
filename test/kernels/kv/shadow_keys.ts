import { ceilDiv } from "../../../src/errors.ts";
import { shadow_keys } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";
import { drawPrompt, drawRope, promptShape } from "./shadow_case.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const shape = promptShape(seed, tiny);
  const { G, E, KV_BITS } = shape;
  const [WG, PIVOT] = [tiny ? 4 : 32, tiny ? 1 : Math.floor(seed / 4) % 2];
  const tokens = tiny ? 5 : pick(uniform, [1, 31, 32, 33, 70, 129]);
  const { table, kv, token, row, params } = drawPrompt(uniform, shape, tokens);
  const first = tiny ? 1 : Math.floor(uniform() * tokens);
  const count = 1 + Math.floor(uniform() * (tokens - first));
  const length = pick(uniform, [1, 0.7, 1.5]);
  const rope = drawRope(tokens, E).map((value) => length * value);
  const pivot = floats(uniform, G * E, 3);
  const x = new Float32Array((count + 1) * G * E).fill(Number.NaN);
  const want = new Float64Array(count * G * E).fill(Number.NaN);
  for (let i = 0; i < count; i++) {
    const { here, key } = token(first + i);
    if (!here) continue;
    for (let g = 0; g < G; g++) {
      const rotated = key(g);
      for (let e = 0; e < E / 2; e++) {
        const [cos, sin] = [0, 1].map((j) => rope[(first + i) * E + 2 * e + j]! / length ** 2) as [number, number];
        const [a, b] = [rotated[e]!, rotated[e + E / 2]!];
        const off = (channel: number) => PIVOT * pivot[g * E + channel]!;
        want[(i * G + g) * E + e] = a * cos + b * sin - off(e);
        want[(i * G + g) * E + e + E / 2] = b * cos - a * sin - off(e + E / 2);
      }
    }
  }
  return {
    label: `${G}×${E} ${KV_BITS} bits, tokens ${first} … ${first + count - 1} of ${tokens}`,
    constants: { WG, E, G, KV_BITS, PIVOT },
    params: { ...params, row, first, tokens: count },
    grid: [ceilDiv(count, WG), (G * E) / 8, 1] as const,
    buffers: { table, kv, rope, pivot, x },
    want: { x: want },
    terms: 3,
    ulps: 4, // division
    magnitude: 9,
  };
}

export default spec({
  kernel: shadow_keys,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["turned on instead of back", "low * turn.cosine + high * turn.sine", "low * turn.cosine - high * turn.sine"],
    ["keys lengthened twice", ") * shrink);", "));"],
    ["no pivot", "if (PIVOT) { value -= pivot[channel + i]; }", ""],
    ["another arena's words", "if (entry.z != params.arena) { return; }", ""],
    ["positions from 0 on", "(entry.w + token % 32u)", "id.x"],
    ["another sequence", "params.row * params.listLength", "0u * params.listLength"],
  ],
});

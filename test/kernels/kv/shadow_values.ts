import { ceilDiv } from "../../../src/errors.ts";
import { shadow_values } from "../../../src/gpu/kernels.gen.ts";
import { pick, random, spec, type Verdict } from "../spec.ts";
import { judgeCodes } from "./codes.ts";
import { drawPrompt, halfWrong, promptShape } from "./shadow_case.ts";

/** Bits of a kept value and channels of a group, for each of the shapes of prompts. */
const KEPT = [
  [8, 32],
  [16, 8],
  [4, 8],
  [8, 8],
  [4, 32],
  [4, 8],
  [16, 8],
  [4, 8],
] as const;

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const shape = promptShape(seed, tiny);
  const { G, E, KV_BITS } = shape;
  const [V_BITS, GROUP] = tiny ? ([8, 8] as const) : KEPT[seed % KEPT.length]!;
  const WG = tiny ? 4 : 32;
  const tokens = tiny ? 5 : pick(uniform, [1, 32, 45, 96]);
  const begin = pick(uniform, [0, 32, 41]);
  const { table, kv, token, row, params } = drawPrompt(uniform, shape, begin + tokens);
  const place = pick(uniform, [0, 64]);
  const capacity = place + tokens + pick(uniform, [0, 3]);
  const VALUE_WORDS = (E * V_BITS) / 32 + (V_BITS < 16 ? E / GROUP : 0);
  const values = new Uint32Array(G * capacity * VALUE_WORDS).fill(0xdeadbeef);
  const judge: Verdict = (words) => {
    const rest = words.slice();
    for (let t = 0; t < tokens; t++) {
      if (!token(begin + t).here) continue;
      for (let g = 0; g < G; g++) {
        const at = (g * capacity + place + t) * VALUE_WORDS;
        rest.set(values.subarray(at, at + VALUE_WORDS), at);
        const numbers = token(begin + t).value(g);
        const stored = (e: number) => words[at + Math.floor((e * V_BITS) / 32)]! >>> ((e * V_BITS) % 32);
        for (let first = 0; first < E; first += GROUP) {
          const group = Array.from({ length: GROUP }, (_, i) => first + i);
          const wrong =
            V_BITS === 16
              ? group.map((e) => halfWrong(stored(e), { value: numbers[e]!, error: 2 ** -22 })).find((each) => each)
              : judgeCodes(
                  numbers.subarray(first, first + GROUP),
                  group.map((e) => stored(e) & (2 ** V_BITS - 1)),
                  words[at + (E * V_BITS) / 32 + first / GROUP]!,
                  2 ** V_BITS - 1,
                );
          if (wrong) return ` token ${t} head ${g} group ${first / GROUP}: ${wrong}`;
        }
      }
    }
    const stray = rest.subarray(0, values.length).findIndex((word, i) => word !== values[i]);
    return stray < 0 ? null : `[${stray}] was written, want untouched`;
  };
  return {
    label: `${G}×${E} ${KV_BITS} → ${V_BITS} bits, groups of ${GROUP}, ${tokens} tokens from ${begin}`,
    constants: { WG, E, G, KV_BITS, V_BITS, GROUP },
    params: { ...params, row, begin, tokens, first: place, capacity },
    grid: [ceilDiv(tokens, WG), (G * E) / GROUP, 1] as const,
    buffers: { table, kv, values },
    want: { values: judge },
    terms: 1,
  };
}

export default spec({
  kernel: shadow_values,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["keys", "kv[slot_at(page, slot, true) + e * KV_BITS / 32u]", "kv[slot_at(page, slot, false) + e * KV_BITS / 32u]"],
    ["another arena's words", "if (entry.z != params.arena) { return; }", ""],
    ["the largest as minimum", "code_pair(least, most, V_BITS)", "code_pair(most, least, V_BITS)"],
    ["codes of the first group", "group * GROUP + i", "i"],
    ["another head", "(head * params.capacity", "(0u * params.capacity"],
    ["another region", "params.first + id.x", "id.x"],
    ["always from the first token", "params.begin + id.x", "id.x"],
  ],
});

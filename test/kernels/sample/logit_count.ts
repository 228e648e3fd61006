import { logit_count } from "../../../src/gpu/kernels.gen.ts";
import { NONE, packSettings, plain, PROMPT_BIT } from "../sample_reference.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64]);
  const V = pick(uniform, [1, 7, 300]);
  const M = tiny ? 5 : pick(uniform, [1, 2, WG - 1, WG + 1]);
  const sequences = M + 1;
  const tokens = Uint32Array.from({ length: sequences }, () => Math.floor(uniform() * V));
  const counts = Uint32Array.from({ length: sequences * V }, () =>
    pick(uniform, [0, 3, 0xffff, PROMPT_BIT, 0x8000ffff]),
  );
  const want = counts.slice();
  const rows = Array.from({ length: M }, (_, m) => ({
    ...plain,
    sequence: sequences - 1 - m,
    forced: pick(uniform, [NONE, NONE, NONE, 0]),
    ...pick(uniform, [{}, { repetitionPenalty: 1.1 }, { frequencyPenalty: 0.5 }, { presencePenalty: -1 }]),
  }));
  for (const { sequence, forced, repetitionPenalty, frequencyPenalty, presencePenalty } of rows) {
    const isOn = repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0;
    const at = sequence * V + tokens[sequence]!;
    if (isOn && forced === NONE && (want[at]! & 0xffff) < 0xffff) want[at]! += 1;
  }
  return {
    label: `V ${V} M ${M} WG ${WG}`,
    constants: { WG },
    params: { rows: M, vocabulary: V },
    grid: [Math.ceil(M / WG), 1, 1] as const,
    buffers: { settings: packSettings(rows), tokens, counts },
    want: { counts: want },
    terms: 1,
  };
}

export default spec({
  kernel: logit_count,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(5, true),
  mutants: [
    ["count runs into the prompt bit", "(counts[at] & 0xffffu) < 0xffffu", "true"],
    ["forced tokens counted", " || settings[row].forced != NONE", ""],
    ["row for sequence", "sequence * params.vocabulary", "row * params.vocabulary"],
  ],
});

import { logit_adjust } from "../../../src/gpu/kernels.gen.ts";
import {
  LOWEST,
  MOST_BIASES,
  packMask,
  packSettings,
  plain,
  PROMPT_BIT,
  type RowSettings,
} from "../sample_reference.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** [sequences, V]: a third never seen, a third in the prompt, the rest generated a few times. */
const seenCounts = (uniform: () => number, length: number): Uint32Array =>
  Uint32Array.from({ length }, () =>
    pick(uniform, [0, PROMPT_BIT, PROMPT_BIT + Math.floor(uniform() * 4), 1, 2, 0xffff]),
  );

function adjusted(logit: number, seen: number, row: RowSettings): number {
  const repeats = seen & 0xffff;
  let score = logit;
  if (seen !== 0) score = logit < 0 ? logit * row.repetitionPenalty : logit / row.repetitionPenalty;
  if (repeats > 0) score -= row.frequencyPenalty * repeats + row.presencePenalty;
  return score;
}

/** One sequence's bias table: [64] pairs, distinct ids, some beyond the vocabulary; unused pairs are poison. */
function biasTable(uniform: () => number, V: number, count: number): { id: number; value: number }[] {
  const ids = new Set<number>();
  while (ids.size < count) ids.add(Math.floor(uniform() * (V + 70)));
  return [...ids].map((id) => ({ id, value: Math.fround(200 * uniform() - 100) }));
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [WG, STEPS] = tiny ? ([4, 2] as const) : seed < 32 ? ([32, 1] as const) : ([64, 16] as const);
  const V = tiny ? 11 : pick(uniform, [1, WG - 1, WG + 1, WG * STEPS, WG * STEPS + 1, 1009]);
  const M = tiny ? 2 : pick(uniform, [1, 2, 5]);
  const sequences = M + 1;
  const logits = floats(uniform, M * V, pick(uniform, [1e-4, 1, 20]));
  const counts = seenCounts(uniform, sequences * V);
  const bias = new Uint32Array(sequences * MOST_BIASES * 2).fill(0x7fc00000);
  const scores = new Float64Array(M * V);
  const rows = Array.from({ length: M }, (_, m) => ({
    ...plain,
    sequence: sequences - 1 - m,
    repetitionPenalty: Math.fround(pick(uniform, [1, 1, 1.1, 0.5, 2])),
    frequencyPenalty: Math.fround(pick(uniform, [0, 0, 0.3, -2])),
    presencePenalty: Math.fround(pick(uniform, [0, 0, 0.7, -2])),
    biasCount: tiny ? 3 : pick(uniform, [0, 1, 5, MOST_BIASES]),
    masked: pick(uniform, [0, 1]),
  }));
  const density = pick(uniform, [0, 0.1, 0.9]);
  const mask = packMask(V, M, () => uniform() < density);
  const forbids = (m: number, i: number) => ((mask[m * Math.ceil(V / 32) + (i >>> 5)]! >>> (i & 31)) & 1) === 0;
  for (let m = 0; m < M; m++) {
    const row = rows[m]!;
    for (let i = 0; i < V; i++) scores[m * V + i] = adjusted(logits[m * V + i]!, counts[row.sequence * V + i]!, row);
    biasTable(uniform, V, row.biasCount).forEach(({ id, value: drawn }, b) => {
      // Large enough to lift a token off the bottom, where nothing but the mask holds it there.
      const value = row.masked && id < V && forbids(m, id) ? 2e38 : drawn;
      const at = (row.sequence * MOST_BIASES + b) * 2;
      bias[at] = id;
      bias[at + 1] = new Uint32Array(Float32Array.of(value).buffer)[0]!;
      if (id < V) scores[m * V + id]! += value;
    });
    if (row.masked) for (let i = 0; i < V; i++) if (forbids(m, i)) scores[m * V + i] = LOWEST;
  }
  return {
    label: `V ${V} M ${M} WG ${WG} STEPS ${STEPS} ${JSON.stringify(rows)}`,
    constants: { WG, STEPS },
    params: { vocabulary: V },
    grid: [Math.ceil(V / (WG * STEPS)), M, 1] as const,
    buffers: { logits, counts, bias, mask, settings: packSettings(rows), scores: new Float32Array(M * V + 3).fill(7) },
    want: { scores },
    terms: 4,
    ulps: 8, // division: 2.5 ULP
    magnitude: scores.reduce((most, score) => (score === LOWEST ? most : Math.max(most, Math.abs(score))), 1e-4),
  };
}

export default spec({
  kernel: logit_adjust,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(5, true),
  mutants: [
    ["prompt tokens pay the presence penalty", "if (repeats == 0u) { return scaled; }", ""],
    ["sign ignored", "select(logit / penalty, logit * penalty, logit < 0.0)", "logit / penalty"],
    ["bias of the row, not the sequence", "bias[sequence * MOST_BIASES + b]", "bias[row * MOST_BIASES + b]"],
    ["bias written past the slice", "entry.x < end", "entry.x < end + 1u"],
    ["mask ignored", "settings[row].masked == 0u", "true"],
    ["mask of the first row", "mask[row * words", "mask[0u * words"],
    ["bits from the top", "(token % 32u)", "(31u - token % 32u)"],
    ["a bias lifts what is forbidden", "if (forbidden(row, entry.x)) { continue; }", ""],
  ],
});

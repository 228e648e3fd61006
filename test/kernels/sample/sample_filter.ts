import { sample_filter } from "../../../src/gpu/kernels.gen.ts";
import {
  drawn,
  filtered,
  finite,
  isClear,
  LOWEST,
  NONE,
  packSettings,
  plain,
  type RowSettings,
} from "../sample_reference.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** Row contents that filters find hard: flat, one peak, few distinct values, NaN, signed zeros, wide. */
function contents(uniform: () => number, V: number): Float32Array {
  const scale = pick(uniform, [1e-4, 1, 8, 1e4]);
  const scores = floats(uniform, V, scale);
  const kind = pick(uniform, ["plain", "ties", "flat", "peak", "holes", "zeros"]);
  for (let i = 0; i < V; i++) {
    if (kind === "ties") scores[i] = Math.round((scores[i]! / scale) * 3) * scale;
    if (kind === "flat") scores[i] = -scale;
    if (kind === "zeros") scores[i] = uniform() < 0.5 ? 0 : -0;
    if (kind === "holes" && uniform() < 0.5) scores[i] = pick(uniform, [NaN, -Infinity]);
  }
  if (kind === "peak") scores[Math.floor(uniform() * V)] = 40 * scale;
  return scores;
}

/** Row settings, tried until the reference's draw survives f32 rounding. */
function clearRow(uniform: () => number, scores: Float32Array): { row: RowSettings; token: number } {
  for (let tries = 0; ; tries++) {
    const row = {
      ...plain,
      temperature: Math.fround(pick(uniform, [0.3, 0.7, 1, 2])),
      topK: pick(uniform, [0, 0, 1, 2, 20, 64, 100_000]),
      topP: Math.fround(pick(uniform, [1, 1, 0, 1e-6, 0.1, 0.5, 0.9, 0.95, 0.999])),
      minP: Math.fround(pick(uniform, [0, 0, 0.05, 0.3, 1])),
      seed: Math.floor(uniform() * 2 ** 32),
      counter: Math.floor(uniform() * 1000),
    };
    const { ids, margin } = filtered(scores, row);
    const { token, best, lead } = drawn(scores, row, ids);
    const decided = margin > 3e-5 || (row.minP === 1 && row.topP === 1);
    if ((decided && isClear(lead, row.temperature, best)) || tries === 500) return { row, token };
  }
}

function peaksOf(scores: Float32Array, LANES: number, STEPS: number): Float32Array {
  const peaks = new Float32Array(Math.ceil(scores.length / (LANES * STEPS)) * LANES).fill(LOWEST);
  scores.forEach((score, i) => {
    const at = Math.floor(i / (LANES * STEPS)) * LANES + (i % LANES);
    peaks[at] = Math.max(peaks[at]!, finite(score));
  });
  return peaks;
}

const join = (parts: Float32Array[]): Float32Array => Float32Array.from(parts.flatMap((part) => [...part]));

// SwiftShader takes a second to compile a combination and forgets the last but one.
const tilesOf = (seed: number) => (seed < 64 ? { WG: 64, LANES: 16, STEPS: 64 } : { WG: 256, LANES: 64, STEPS: 16 });

function make(seed: number, tiles = tilesOf(seed), size?: { V: number; M: number }) {
  const uniform = random(seed);
  const { WG, LANES, STEPS } = tiles;
  const V = size?.V ?? pick(uniform, [1, 2, 33, LANES * STEPS + 1, 1009, 3001]);
  const M = size?.M ?? pick(uniform, [1, 8]);
  const picks = Uint32Array.from({ length: M }, () => 12345);
  const want = picks.slice();
  const each = Array.from({ length: M }, (_, m) => {
    const scores = contents(uniform, V);
    const { row, token } = clearRow(uniform, scores);
    const idle = pick(uniform, [false, false, false, true]);
    if (idle)
      return {
        scores,
        row: pick(uniform, [
          { ...row, temperature: 0 },
          { ...row, forced: 0 },
        ]),
      };
    const isOn = row.topK > 0 || row.topP < 1 || row.minP > 0;
    if (isOn && row.forced === NONE) want[m] = token;
    return { scores, row };
  });
  return {
    label: `V ${V} M ${M} WG ${WG} LANES ${LANES} STEPS ${STEPS} ${JSON.stringify(each.map(({ row }) => row))}`,
    constants: { WG, LANES, STEPS },
    params: { vocabulary: V },
    grid: [M, 1, 1] as const,
    buffers: {
      scores: join(each.map(({ scores }) => scores)),
      settings: packSettings(each.map(({ row }) => row)),
      peaks: join(each.map(({ scores }) => peaksOf(scores, LANES, STEPS))),
      picks: new Uint32Array([...picks, 9, 9]),
    },
    want: { picks: want },
    terms: V,
  };
}

export default spec({
  kernel: sample_filter,
  cases: 96,
  make: (seed) => make(seed),
  race: () => make(6, { WG: 16, LANES: 16, STEPS: 2 }, { V: 33, M: 1 }),
  mutants: [
    ["top-p of the whole row", "topP * total()", "topP * f32(params.vocabulary)"],
    ["one token too many", "f32(topK)", "f32(topK + 1u)"],
    ["peaks taken for an answer", "stage <= P_TOKENS", "stage < P_TOKENS"],
    ["sums of 32 bits", "if (before + units < before)", "if (false)"],
    ["bins of the pass before last", "atomicStore(&bins[other + i], 0u)", "atomicLoad(&bins[other + i])"],
    ["min-p without temperature", "settings[row].temperature * log(minP)", "log(minP)"],
  ],
});

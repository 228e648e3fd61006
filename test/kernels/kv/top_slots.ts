import { top_slots } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** Scores that are hard to choose from: few distinct values, plateaus, one value, signed zeros, close neighbours. */
function contents(uniform: () => number, slots: number): Float32Array {
  const scale = pick(uniform, [1e-30, 1e-3, 1, 1e20]);
  const scores = floats(uniform, slots, scale);
  const kind = pick(uniform, ["plain", "ties", "flat", "zeros", "plateaus", "close"]);
  for (let i = 0; i < slots; i++) {
    if (kind === "ties") scores[i] = Math.round((scores[i]! / scale) * 3) * scale;
    if (kind === "flat") scores[i] = scale;
    if (kind === "zeros") scores[i] = uniform() < 0.5 ? 0 : -0;
    if (kind === "plateaus") scores[i] = scores[i - (i % 7)]!;
    if (kind === "close") scores[i] = scale * (1 + Math.floor(4 * uniform()) * 2 ** -23);
  }
  return scores;
}

/** Slots of the `count` largest, ascending; the lower of equal ones first. */
const best = (scores: Float32Array, count: number): number[] =>
  [...scores.keys()]
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : seed % 3 === 0 ? 32 : 256;
  const lists = tiny ? 1 : pick(uniform, [1, 2, 3]);
  const slots = tiny ? 4 : pick(uniform, [1, 2, 32, 255, 256, 257, 640, 4100, seed === 7 ? 131072 : 96]);
  const count = tiny ? 2 : pick(uniform, [0, 1, slots, Math.ceil(uniform() * slots), Math.ceil(slots / 8)]);
  const [first, column] = [pick(uniform, [0, 1]), pick(uniform, [0, 2])];
  const [stride, keepStride] = [slots + pick(uniform, [0, 32]), count + pick(uniform, [0, 5])];
  const scores = new Float32Array((first + lists) * stride).fill(Number.NaN);
  const keep = new Uint32Array(Math.max(1, (column + lists) * keepStride)).fill(0xdeadbeef);
  const want = keep.slice();
  for (let list = 0; list < lists; list++) {
    const values = contents(uniform, slots);
    scores.set(values, (first + list) * stride);
    want.set(best(values, count), (column + list) * keepStride);
  }
  return {
    label: `lists ${lists} slots ${slots} WG ${WG} count ${count} stride ${stride} keepStride ${keepStride}`,
    constants: { WG },
    params: { first, stride, slots, count, column, keepStride },
    grid: [lists, 1, 1] as const,
    buffers: { scores, keep },
    want: { keep: want },
    terms: 1,
  };
}

export default spec({
  kernel: top_slots,
  cases: 120,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["all equal scores", "key == known && equal < left", "key == known"],
    ["bits for numbers", "select(bits | 0x80000000u, ~bits, bits > 0x80000000u)", "bits"],
    ["zeros apart", "0x80000000u, bits == 0x80000000u)", "0x7fffffffu, bits == 0x80000000u)"],
    ["only scores that agree so far count", "key >> ((shift + 8u) % 32u) == known", "true"],
    ["the last slots of equal ones", "min(before.y, left)", "before.y"],
  ],
});

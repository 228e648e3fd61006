import { locret_keep } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

const STAYS = 0xffffffff;

/** A token that may stay. */
interface Candidate {
  score: number;
  number: number;
}

/** Hard to choose from: few distinct values, one value, signed zeros, close neighbours. */
function drawScores(uniform: () => number, count: number): Float32Array {
  const scores = floats(uniform, count, 4);
  const kind = pick(uniform, ["plain", "ties", "flat", "zeros", "close"]);
  return scores.map((score) => {
    if (kind === "ties") return Math.round(score / 2);
    if (kind === "flat") return -1.5;
    if (kind === "zeros") return score < 0 ? -0 : 0;
    return kind === "close" ? 1 + Math.floor(score + 4) * 2 ** -23 : score;
  });
}

/** In slots, in any order: `kept` of the numbers before `from`. */
function drawNumbers(uniform: () => number, kept: number, from: number): number[] {
  const all = Array.from({ length: from }, (_, number) => ({ number, key: uniform() }));
  return all.sort((a, b) => a.key - b.key).slice(0, kept).map(({ number }) => number); // prettier-ignore
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const upTo = (most: number) => Math.floor(uniform() * (most + 1));
  const WG = tiny ? 4 : seed % 5 === 4 ? 256 : 32;
  const lists = tiny ? 1 : pick(uniform, [1, 2, 3]);
  const fresh = tiny ? 3 : pick(uniform, [32, 64, 96, 256]);
  const kept = tiny ? 4 : pick(uniform, [0, 1, 31, 64, 100, 300]);
  const count = kept === 0 ? 1 + upTo(fresh - 1) : pick(uniform, [kept, kept, Math.min(kept + 40, kept + fresh)]);
  const from = kept + (kept === 0 ? 0 : pick(uniform, [0, 5, 4000]));
  const end = from + fresh;
  const safe = pick(uniform, [end, end, end - 1, end - Math.min(count, fresh), Math.max(from, end - 8)]);
  const [column, room] = [pick(uniform, [0, 2]), count + upTo(5)];
  const [stride, numberStride, keepStride] = [room + fresh + upTo(3), room + fresh + upTo(3), count + upTo(3)];
  const listed = 32 * upTo(9);
  const scores = new Float32Array((column + lists) * stride).fill(Number.NaN);
  const numbers = new Uint32Array((column + lists) * numberStride).fill(0xdeadbeef);
  const keep = new Uint32Array((column + lists) * keepStride).fill(0xdeadbeef);
  for (let list = column; list < column + lists; list++) {
    const drawn = drawScores(uniform, kept + fresh);
    scores.set(drawn.subarray(0, kept), list * stride);
    scores.set(drawn.subarray(kept), list * stride + room);
    numbers.set(drawNumbers(uniform, kept, from), list * numberStride);
  }
  const wanted = { scores: new Uint32Array(scores.slice().buffer), numbers: numbers.slice(), keep: keep.slice() };
  for (let list = column; list < column + lists; list++) {
    const candidates = Array.from({ length: kept + fresh }, (_, i): Candidate => {
      const at = i < kept ? i : room + i - kept;
      const number = i < kept ? numbers[list * numberStride + i]! : from + i - kept;
      return { score: number >= safe ? Infinity : scores[list * stride + at]!, number };
    });
    const order = [...candidates.keys()].sort((a, b) => compare(candidates[a]!, candidates[b]!));
    const staying = new Set(order.slice(0, count));
    const free = Array.from({ length: count }, (_, slot) => slot).filter((slot) => slot >= kept || !staying.has(slot));
    const coming = Array.from({ length: fresh }, (_, i) => i).filter((i) => staying.has(kept + i));
    wanted.keep.fill(STAYS, list * keepStride, list * keepStride + count);
    wanted.numbers.set(coming, list * numberStride + room); // how the kernel remembers them
    for (const [j, slot] of free.entries()) {
      const i = coming[j]!;
      wanted.keep[list * keepStride + slot] = listed + i;
      wanted.numbers[list * numberStride + slot] = from + i;
      wanted.scores[list * stride + slot] = wanted.scores[list * stride + room + i]!;
    }
  }
  return {
    label: `lists ${lists} kept ${kept} fresh ${fresh} count ${count} from ${from} safe ${safe} WG ${WG}`,
    constants: { WG },
    params: { column, stride, numberStride, keepStride, room, kept, fresh, count, begins: from, safe, listed },
    grid: [lists, 1, 1] as const,
    buffers: { scores, numbers, keep },
    want: wanted,
    terms: 1,
  };
}

/** The higher score first, of equal ones the earlier token. */
function compare(a: Candidate, b: Candidate): number {
  if (a.score === b.score) return a.number - b.number;
  return a.score > b.score ? -1 : 1;
}

export default spec({
  kernel: locret_keep,
  cases: 44,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["later tokens of equal ones", "~number)", "number)"],
    ["nobody is safe", "number >= params.safe", "false"],
    ["bits for numbers", "select(bits | 0x80000000u, ~bits, bits > 0x80000000u)", "bits"],
    ["scores alone", "half == 0u || pair.x == least.x", "true"],
    ["what was kept moves", "slot >= params.kept || !not_below(pair_of(column, slot), least)", "true"],
    ["old scores", "scores[column * params.stride + slot] = scores", "let unused = scores"],
  ],
});

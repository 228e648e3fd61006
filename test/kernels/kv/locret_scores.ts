import { locret_scores } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";
import { drawPrompt, drawRope, promptShape } from "./shadow_case.ts";

/** The vector before its rotation by a turn that may lengthen. */
function turnedBack(x: ArrayLike<number>, rope: Float32Array, position: number): number[] {
  const half = x.length / 2;
  const turn = (e: number) => [0, 1].map((j) => rope[position * x.length + 2 * e + j]!) as [number, number];
  const channels = Array.from({ length: half }, (_, e) => {
    const [cos, sin] = turn(e);
    const square = cos * cos + sin * sin;
    return [(x[e]! * cos + x[e + half]! * sin) / square, (x[e + half]! * cos - x[e]! * sin) / square] as const;
  });
  return [...channels.map(([low]) => low), ...channels.map(([, high]) => high)];
}

const silu = (x: number): number => x / (1 + Math.exp(-x));

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const shape = promptShape(seed, tiny);
  const { G, E, KV_BITS } = shape;
  const R = tiny ? 1 : 1 + ((seed % 4) % 3);
  const [H, HIDDEN] = [G * R, tiny ? 4 : [8, 64, 20, 8][seed % 4]!];
  const tokens = tiny ? 32 : 32 * pick(uniform, [1, 1, 1, 2]);
  const [pages, firstRow] = [tiny ? 0 : pick(uniform, [0, 0, 1, 2]), tiny ? 0 : pick(uniform, [0, 3])];
  const first = 32 * pages;
  const { table, kv: source, token, row, params } = drawPrompt(uniform, shape, first + tokens);
  const length = pick(uniform, [1, 0.7, 1.5]);
  const rope = drawRope(first + tokens, E).map((value) => length * value);
  const q = floats(uniform, (firstRow + tokens) * H * E, 2).fill(Number.NaN, 0, firstRow * H * E);
  const inputs = (H + 2 * G) * E;
  const weightAt = tiny ? 0 : pick(uniform, [0, 12]);
  const [w1, w2] = [floats(uniform, inputs * HIDDEN, 0.5), floats(uniform, HIDDEN * G)];
  const weights = Float32Array.from([...Array<number>(weightAt).fill(Number.NaN), ...w1, ...w2]);
  const room = pick(uniform, [0, 32]);
  const stride = room + tokens + pick(uniform, [0, 32]);
  const scores = new Float32Array((params.column + G) * stride).fill(Number.NaN);
  const want = new Float64Array(scores.length).fill(Number.NaN);
  let magnitude = 0;
  for (let i = 0; i < tokens; i++) {
    const { here, key, value } = token(first + i);
    if (!here) continue;
    const heads = (count: number, head: (h: number) => ArrayLike<number>) =>
      Array.from({ length: count }, (_, h) => turnedBack(head(h), rope, first + i)).flat();
    const queries = heads(H, (h) => q.subarray(((firstRow + i) * H + h) * E, ((firstRow + i) * H + h + 1) * E));
    const x = [...queries, ...heads(G, key), ...Array.from({ length: G }, (_, g) => [...value(g)]).flat()];
    const [sums, sizes] = [new Float64Array(HIDDEN), new Float64Array(HIDDEN)];
    for (const [n, input] of x.entries())
      for (let j = 0; j < HIDDEN; j++) {
        sums[j]! += input * w1[n * HIDDEN + j]!;
        sizes[j]! += Math.abs(input * w1[n * HIDDEN + j]!);
      }
    for (let g = 0; g < G; g++) {
      let [score, size] = [0, 0];
      for (let j = 0; j < HIDDEN; j++) {
        score += silu(sums[j]!) * w2[j * G + g]!;
        size += sizes[j]! * Math.abs(w2[j * G + g]!); // |SiLU(x)| ≤ |x|, and it grows by at most 1.1 for each 1
      }
      want[(params.column + g) * stride + room + i] = score;
      magnitude = Math.max(magnitude, size);
    }
  }
  return {
    label: `${H}/${G}×${E} ${KV_BITS} bits, hidden ${HIDDEN}, tokens ${first} … ${first + tokens - 1}`,
    constants: { E, H, G, KV_BITS, HIDDEN },
    params: { ...params, row, firstRow, first, weightAt, stride, room },
    grid: [tokens / 8, 1, 1] as const,
    buffers: { q, table, source, rope, weights, scores },
    want: { scores: want },
    terms: inputs + HIDDEN,
    ulps: 8, // exp and divisions
    magnitude: magnitude || 1,
  };
}

export default spec({
  kernel: locret_scores,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["turned on instead of back", "(a * turn.x + b * turn.y) * shrink", "(a * turn.x - b * turn.y) * shrink"],
    ["values turned, too", "* shrink, b, isValue)", "* shrink, b, false)"],
    ["keys for values", "source_number(page, slot, e, head >= H + G)", "source_number(page, slot, e, false)"],
    ["one head's scores for all", "+ (H + 2u * G) * E * HIDDEN + head", "+ (H + 2u * G) * E * HIDDEN"],
    ["another arena's words", "if (table[at].z != params.arena) { return; }", ""],
  ],
});

import { teach_logits } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** [rows] of log-softmax at a temperature */
function logSoftmax(row: Float32Array, temperature: number): Float64Array {
  const scaled = Float64Array.from(row, (value) => value / temperature);
  const top = scaled.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = scaled.reduce((total, value) => total + Math.exp(value - top), 0);
  return scaled.map((value) => value - top - Math.log(sum));
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [4, 64, 128]);
  const R = tiny ? 2 : pick(uniform, [1, 2, 5]);
  const V = tiny ? 11 : pick(uniform, [1, 5, WG - 1, WG, WG + 1, 3 * WG + 2, 1000]);
  const stride = V + pick(uniform, [0, 3]);
  const first = pick(uniform, [0, 4]);
  const temperature = pick(uniform, [1, 2, 4]);
  const size = 10 ** pick(uniform, [-1, 0, 1]);
  const base = 30 * uniform(); // logits need not lie around 0
  const teacher = floats(uniform, R * stride, size).map((value) => value + base);
  const student = teacher.map((value) => value - 2 + size * uniform());
  const shares = new Float32Array(first + R).fill(Number.NaN);
  const losses = new Float32Array(first + R + 2).fill(7);
  const wantLosses = new Float64Array(first + R).fill(Number.NaN);
  const want = new Float64Array(R * stride);
  for (let r = 0; r < R; r++) {
    const share = pick(uniform, [0, 0.1, 1]);
    shares[first + r] = share;
    const range = [r * stride, r * stride + V] as const;
    const p = logSoftmax(teacher.subarray(...range), temperature);
    const q = logSoftmax(student.subarray(...range), temperature);
    let divergence = 0;
    for (let v = 0; v < V; v++) {
      divergence += Math.exp(p[v]!) * (p[v]! - q[v]!);
      want[r * stride + v] = shares[first + r]! * temperature * (Math.exp(q[v]!) - Math.exp(p[v]!));
    }
    wantLosses[first + r] = shares[first + r]! * temperature ** 2 * divergence;
    for (const logits of [teacher, student]) logits.fill(Number.NaN, range[1], (r + 1) * stride);
  }
  const padded = new Float32Array(R * stride + 4).fill(7);
  padded.set(student);
  return {
    label: `R ${R} V ${V}/${stride} from ${first} temperature ${temperature} size ${size} WG ${WG}`,
    constants: { WG },
    params: { first, vocabulary: V, stride, temperature },
    grid: [R, 1, 1] as const,
    buffers: { teacher, student: padded, shares, losses },
    want: { student: want, losses: wantLosses },
    terms: V,
    ulps: 64, // exp, twice log; of differences from the maximum
    magnitude: temperature ** 2 * Math.max(1, size),
  };
}

export default spec({
  kernel: teach_logits,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["KL the other way round", "apart += weights.x * (both.x - both.y);", "apart += weights.y * (both.x - both.y);"],
    ["temperature forgotten in the gradient", "let slope = share * params.temperature;", "let slope = share;"],
    ["the shares of other rows", "let share = shares[row];", "let share = shares[wg.x];"],
    ["padding kept", "var gradient = 0.0;", "var gradient = student[start + v];"],
  ],
});

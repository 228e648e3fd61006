import { ceilDiv } from "../../../src/errors.ts";
import { row_dots } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64]);
  const M = tiny ? 6 : pick(uniform, [1, 2, WG - 1, WG, WG + 1, 130]);
  const D = tiny ? 8 : 4 * pick(uniform, [1, 2, 3, 16, 48, 97]);
  const outAt = pick(uniform, [0, 5]);
  const ADD = pick(uniform, [0, 1]);
  const a = floats(uniform, (M + 1) * D).fill(Number.NaN, M * D);
  const b = floats(uniform, (M + 1) * D).fill(Number.NaN, M * D);
  const want = new Float64Array(outAt + M).fill(Number.NaN);
  for (let i = 0; i < M; i++) {
    want[outAt + i] = 7 * ADD;
    for (let k = 0; k < D; k++) want[outAt + i]! += a[i * D + k]! * b[i * D + k]!;
  }
  return {
    label: `M ${M} D ${D} at ${outAt} ADD ${ADD} WG ${WG}`,
    constants: { WG, ADD },
    params: { rows: M, width: D, outAt },
    grid: [ceilDiv(M, WG), 1, 1] as const,
    buffers: { a, b, out: new Float32Array(outAt + M + 2).fill(7) },
    want: { out: want },
    terms: D,
    magnitude: 7 + Math.sqrt(D),
  };
}

export default spec({
  kernel: row_dots,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["squares of the first", "dot(a[i], b[i])", "dot(a[i], a[i])"],
    ["its place ignored", "let at = params.outAt + id.x;", "let at = id.x;"],
    ["always adds", "if (ADD == 1u)", "if (true)"],
    ["threads past the rows", "if (id.x >= params.rows) { return; }", ""],
  ],
});

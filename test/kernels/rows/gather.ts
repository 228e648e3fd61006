import { gather } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const D = tiny ? 8 : pick(uniform, [4, 8, 60, 64, 68, 192, 576, 1000]);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const first = tiny ? 1 : pick(uniform, [0, 1, 3, 8]);
  const moved = tiny ? 2 : pick(uniform, [1, 1, 2, 7]);
  const rest = pick(uniform, [0, 1, 40]);
  const count = first + moved;
  const T = count + moved + rest;
  const hidden = floats(uniform, T * D);
  const source = Uint32Array.from({ length: count }, (_, i) => (i < first ? i : T - (count - i)));
  const want = Float64Array.from(hidden);
  for (let i = first; i < count; i++) want.set(hidden.subarray(source[i]! * D, (source[i]! + 1) * D), i * D);
  return {
    label: `T ${T} D ${D} first ${first} moved ${moved} WG ${WG}`,
    constants: { D, WG },
    params: { first },
    grid: [moved, 1, 1] as const,
    buffers: { hidden, source },
    want: { hidden: want },
    terms: 1,
  };
}

export default spec({
  kernel: gather,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["moves rows that stay", "params.first + group.x", "group.x"],
    ["takes the row it writes", "let at = source[to];", "let at = to;"],
    ["leaves out the end of a row", "i < D;", "i + 1u < D;"],
  ],
});

import { embed } from "../../../src/gpu/kernels.gen.ts";
import { randomMatrix } from "../matrix.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const BITS = tiny ? 4 : pick(uniform, [4, 8, 16, 32]);
  const GROUP = pick(uniform, [16, 32]);
  const D = tiny ? 32 : BITS <= 8 ? pick(uniform, [32, 64, 96, 192, 576]) : pick(uniform, [1, 2, 7, 64, 172, 576]);
  const vocabulary = tiny ? 5 : pick(uniform, [1, 2, 15, 16, 17, 100, 515]);
  const T = tiny ? 3 : pick(uniform, [1, 2, 3, 9, 40]);
  const spare = pick(uniform, [0, 2]); // workgroups and rows beyond T
  // the piece that is bound: the whole table, or tokens `first` … `first + columns − 1`
  const first = tiny ? 0 : pick(uniform, [0, 0, Math.floor(vocabulary / 2)]);
  const columns = tiny ? vocabulary : pick(uniform, [vocabulary - first, Math.ceil((vocabulary - first) / 2)]);
  const { words, scales, values, stride } = randomMatrix(uniform, { bits: BITS, group: GROUP, columns, depth: D });
  const tokens = Uint32Array.from({ length: 4 }, () => Math.floor(uniform() * vocabulary));
  const rows = new Uint32Array(4 * (T + spare)).map(() => Math.floor(uniform() * 1e6));
  const want = new Float64Array(T * D).fill(7);
  const scale = Math.fround(pick(uniform, [1, 1, 0.37, 25.3]));
  for (let t = 0; t < T; t++) {
    const slot = Math.floor(uniform() * 4);
    const id = pick(uniform, [Math.floor(uniform() * vocabulary), 0x80000000 + slot, vocabulary, 0x7fffffff]);
    const token = Math.min(id >= 0x80000000 ? tokens[slot]! : id, vocabulary - 1);
    rows[4 * t + 3] = id;
    const at = token - first;
    if (at < 0 || at >= columns) continue;
    want.set(
      values.subarray(at * D, (at + 1) * D).map((value) => scale * value),
      t * D,
    );
  }
  return {
    label: `T ${T} D ${D} V ${vocabulary} from ${first} ${columns} BITS ${BITS} GROUP ${GROUP} WG ${WG} scale ${scale}`,
    constants: { WG, BITS, GROUP, D },
    params: { rows: T, stride, vocabulary, first, columns, scale },
    grid: [T + spare, 1, 1] as const,
    buffers: { rows, tokens, words, scales, hidden: new Float32Array(T * D + 3).fill(7) },
    want: { hidden: want },
    terms: 1,
    magnitude: 512 * scale, // scale·q of a weight: 2·255, where the minimum may cancel it
  };
}

export default spec({
  kernel: embed,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["ignores sampled tokens", "token = tokens[token & 0x7fffffffu];", ""],
    ["drops what lies beyond the vocabulary", "min(token, params.vocabulary - 1u)", "token"],
    [
      "takes the tokens of later pieces",
      "if (token >= params.columns) { return; }",
      "token = min(token, params.columns - 1u);",
    ],
    ["counts from the first token", " - params.first;", ";"],
    [
      "weights as they are",
      "params.scale * (affine.x * element(word, i) + affine.y)",
      "affine.x * element(word, i) + affine.y",
    ],
    ["scales of the wrong group", "j * perWord / GROUP", "j / GROUP"],
  ],
});

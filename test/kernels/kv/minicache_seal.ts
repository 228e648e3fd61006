import { minicache_seal } from "../../../src/gpu/kernels.gen.ts";
import { get, type PageShape, pageWords, put } from "../attn_case.ts";
import { between, cosineOf, exactSlotsAt, type JointShape, type Kind, KINDS, mostDifferent, normOf, partsOfJoint, readHead, slotsOf } from "../joint_page.ts"; // prettier-ignore
import { floats, pick, random, spec } from "../spec.ts";
import { uniforms } from "../vectors.ts";

type Heads = readonly ArrayLike<number>[];

const SHAPES: readonly JointShape[] = [
  { E: 64, KV_BITS: 16, EXACT: 2 },
  { E: 24, KV_BITS: 32, EXACT: 1 },
  { E: 80, KV_BITS: 8, EXACT: 3 },
  { E: 32, KV_BITS: 4, EXACT: 2 },
  { E: 8, KV_BITS: 32, EXACT: 32 },
  { E: 128, KV_BITS: 16, EXACT: 0 },
];

/** The two heads of a slot: alike, apart, nearly opposite, equal, far in size, or nothing. */
function drawPair(uniform: () => number, E: number): [Float32Array, Float32Array] {
  const a = floats(uniform, E, pick(uniform, [1, 1, 30, 0.01]));
  const noise = floats(uniform, E, pick(uniform, [0.05, 0.3, 1]));
  const size = normOf(a) / Math.sqrt(E);
  const alike = (by: number) => a.map((x, e) => by * (x + size * noise[e]!));
  const b = pick(uniform, [
    () => alike(1.7),
    () => alike(-1),
    () => floats(uniform, E),
    () => a.slice(),
    () => alike(0),
  ]);
  return uniform() < 0.05 ? [new Float32Array(E), b()] : [a, b()];
}

/** [2 layers][32] heads of a kind; two slots are the same, so that which of them stays is a tie. */
function drawHeads(uniform: () => number, E: number): [Float32Array[], Float32Array[]] {
  const pairs = Array.from({ length: 32 }, () => drawPair(uniform, E));
  pairs[Math.floor(uniform() * 32)] = pairs[Math.floor(uniform() * 32)]!;
  return [pairs.map(([a]) => a), pairs.map(([, b]) => b)];
}

/** The heads that a written page holds. */
const stored = (shape: PageShape, kv: Uint32Array, page: number, kind: Kind): Heads =>
  Array.from({ length: 32 }, (_, slot) => Array.from({ length: shape.E }, (_, e) => get({ shape, kv }, page, kind, slot, e))); // prettier-ignore

/**
 * acos and sin may be 2⁻¹¹ off (WGSL), which moves a direction by as much. Where two heads are nearly opposite all directions between
 * them are nearly as good: only sizes are judged.
 */
const SLACK = 2 ** -9;
const OPPOSITE = -0.95;
/** Cosines in f32. */
const TIE = 1e-5;

/** What is wrong with a kind of one joint page, or null. */
function judgeKind(shape: JointShape, page: Uint32Array, kind: Kind, layers: readonly [Heads, Heads], T: number) {
  const exact = slotsOf(page[exactSlotsAt(shape, kind)]!);
  const { slots, margin } = mostDifferent(...layers, shape.EXACT);
  if (exact.length !== shape.EXACT) return `${kind}: ${exact.length} slots stay, want ${shape.EXACT}`;
  const isTie = margin === 0 || margin > TIE; // then the order is known
  if (isTie && exact.join() !== slots.join()) return `${kind}: the slots ${exact.join()} stay, want ${slots.join()}`;
  for (let slot = 0; slot < 32; slot++) {
    for (const [twin, heads] of layers.entries()) {
      const wrong = judgeHead(shape, readHead(shape, page, twin, kind, slot), layers, { slot, twin, T, isExact: exact.includes(slot) }); // prettier-ignore
      if (wrong) return `${kind} of layer ${twin}, slot ${slot}, of size ${normOf(heads[slot]!)}: ${wrong}`;
    }
  }
  return null;
}

function judgeHead(
  { KV_BITS, E }: JointShape,
  { values, step }: { values: number[]; step: number },
  layers: readonly [Heads, Heads],
  { slot, twin, T, isExact }: { slot: number; twin: number; T: number; isExact: boolean },
): string | null {
  const [a, b] = [layers[0][slot]!, layers[1][slot]!];
  const own = layers[twin]![slot]!;
  if (isExact) return values.some((x, e) => x !== own[e]) ? "is not as it was" : null;
  const size = normOf(own);
  const want = between(a, b, T).map((x) => size * x);
  const rounding = KV_BITS <= 8 ? 0.51 * step + 2 ** -7 * Math.max(...want.map(Math.abs)) : size * 2 ** -10;
  const allowed = Math.sqrt(E) * rounding + SLACK * size + 2e-7;
  if (Math.abs(normOf(values) - normOf(want)) > allowed) return `size ${normOf(values)}, want ${normOf(want)}`;
  if (cosineOf(a, b) < OPPOSITE) return null;
  const off = normOf(values.map((x, e) => x - want[e]!));
  return off > allowed ? `${off} off, want at most ${allowed}` : null;
}

interface Case {
  shape: JointShape;
  T: number;
  /** [pages][kinds] of both layers */
  heads: readonly (readonly [Float32Array[], Float32Array[]])[][];
  first: number;
}

function caseOf({ shape, T, heads, first }: Case) {
  const written = { E: shape.E, KV_BITS: shape.KV_BITS };
  const words = { from: pageWords(written), to: partsOfJoint(shape).end };
  const pages = heads.length;
  const apart = pages * words.from + 4; // the second layer's pages lie behind all of the first's
  const source = new Uint32Array(apart + pages * words.from).fill(0x7fc0dead);
  const moves = new Uint32Array(2 * (first + pages));
  const destination = new Uint32Array((pages + 1) * words.to).fill(0x7fc0dead);
  const expected = heads.map((kinds, i) => {
    const [from, to] = [i * words.from, (pages - i) * words.to];
    moves.set([from, to], 2 * (first + i));
    const layers = kinds.map((both, kind) =>
      both.map((rows, layer) => {
        for (const [slot, head] of rows.entries())
          put({ shape: written, kv: source }, from + layer * apart, KINDS[kind]!, slot, head);
        return stored(written, source, from + layer * apart, KINDS[kind]!);
      }) as unknown as [Heads, Heads]); // prettier-ignore
    return { to, layers };
  });
  const judge = (got: Uint32Array): string | null => {
    const untouched = destination.slice();
    for (const { to, layers } of expected) {
      const page = got.subarray(to, to + words.to);
      for (const [kind, both] of layers.entries()) {
        const wrong = judgeKind(shape, page, KINDS[kind]!, both, T);
        if (wrong) return ` page at ${to}: ${wrong}`;
      }
      untouched.set(page.subarray(0, partsOfJoint(shape).used), to);
    }
    const at = untouched.findIndex((word, i) => got[i] !== word);
    return at < 0 ? null : `[${at}] was written, want untouched`;
  };
  return {
    label: `E ${shape.E} bits ${shape.KV_BITS} exact ${shape.EXACT} T ${T} pages ${pages}`,
    constants: { ...shape, APART: apart, T },
    params: { first },
    grid: [pages, 1, 1] as const,
    buffers: { moves, source, destination },
    want: { destination: judge },
    terms: 1,
  };
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const shape = tiny ? { E: 8, KV_BITS: 16, EXACT: 1 } : SHAPES[seed % SHAPES.length]!;
  const heads = Array.from({ length: tiny ? 1 : 2 }, () => KINDS.map(() => drawHeads(uniform, shape.E)));
  // One for each shape: each compiles for a second.
  return caseOf({ shape, T: [0.6, 0.5, 0.6, 0.25, 1, 0][seed % SHAPES.length]!, heads, first: pick(uniform, [0, 1]) });
}

/** Part E of ../shared/vectors/kv_checks.py: of 32 tokens only the first, nearly opposite, is retained; angles are as it says. */
function golden() {
  const numbers = uniforms(5);
  const draw = () => Array.from({ length: 16 }, () => numbers.next().value as number);
  const drawRows = () => Array.from({ length: 32 }, draw);
  const [first, noise] = [drawRows(), drawRows()];
  const second = first.map((row, slot) => row.map((x, e) => 1.7 * x + 0.25 * noise[slot]![e]!));
  const [opposite, other] = [draw(), draw()];
  second[0] = first[0]!.map((x, e) => 0.2 * opposite[e]! - x);
  second[15] = other;
  const both = [first, second].map((rows) => rows.map((row) => Float32Array.from(row))) as [
    Float32Array[],
    Float32Array[],
  ];
  const shape = { E: 16, KV_BITS: 32, EXACT: 1 };
  const made = caseOf({ shape, T: 0.6, heads: [[both, both]], first: 0 });
  const judge = (got: Uint32Array): string | null => {
    const page = got.subarray(partsOfJoint(shape).end);
    if (page[exactSlotsAt(shape, "k")] !== 1)
      return `: the slots ${slotsOf(page[exactSlotsAt(shape, "k")]!).join()} stay, want 0`;
    for (let slot = 1; slot < 32; slot++) {
      const angle = Math.acos(cosineOf(readHead(shape, page, 1, "k", slot).values, second[slot]!));
      const whole = Math.acos(cosineOf(first[slot]!, second[slot]!));
      if (Math.abs(angle - 0.4 * whole) > SLACK)
        return `: slot ${slot} is ${angle} from the second layer, want ${0.4 * whole}`;
    }
    return made.want.destination(got);
  };
  return { ...made, label: "golden angles", want: { destination: judge } };
}

export default spec({
  kernel: minicache_seal,
  cases: 42,
  make: (seed) => (seed === 0 ? golden() : make(seed)),
  race: () => make(1, true),
  mutants: [
    ["the most alike stay", "other < cosine ||", "other > cosine ||"],
    ["of equal ones the later", "i < slot)", "i > slot)", 1],
    ["nearer to the first layer", "return vec2f(sin((1.0 - T) * angle), sin(T * angle));", "return vec2f(sin(T * angle), sin((1.0 - T) * angle));"], // prettier-ignore
    ["one magnitude for both", "sizes[local] = norms / sqrt(f32(E));", "sizes[local] = norms.xx / sqrt(f32(E));", 1],
    ["exact rows of the first layer twice", "copy_row(pages.x + APART, slot, isValue, row_at", "copy_row(pages.x, slot, isValue, row_at"], // prettier-ignore
    ["a pair that is not scaled", "scaled_pair(pair, sizes[local].y)", "pair", 2],
  ],
});

import { shadow_plan } from "../../../src/gpu/kernels.gen.ts";
import { pick, random, spec } from "../spec.ts";

/** `count` of `most` numbers, shuffled. */
function draw(uniform: () => number, most: number, count: number): number[] {
  const all = Array.from({ length: most }, (_, i) => ({ i, key: uniform() })).sort((a, b) => a.key - b.key);
  return all.slice(0, count).map(({ i }) => i);
}

interface Lists {
  old: number[];
  next: number[];
}

/** The conformance vector of `design/shadowkv.md`: three of eight chunks are missing. */
const KNOWN: Lists = { old: [3, 9, 4, 7, 12, 20, 5, 1], next: [1, 2, 4, 7, 9, 11, 20, 30] };

/** All new, none new, or some. */
function drawLists(uniform: () => number, most: number, count: number): Lists {
  const old = draw(uniform, most, count);
  const kind = pick(uniform, ["same", "some", "some", "other"]);
  const fresh = draw(uniform, most, most).filter((chunk) => !old.includes(chunk));
  const stay = kind === "same" ? count : kind === "some" ? Math.floor(uniform() * count) : 0;
  const staying = draw(uniform, count, Math.max(stay, count - fresh.length)).map((i) => old[i]!);
  return { old, next: [...staying, ...fresh].slice(0, count).sort((a, b) => a - b) };
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const G = tiny ? 1 : [2, 3, 1][seed % 3]!;
  const known = seed === 2 && !tiny;
  const [SELECTED, most] = tiny ? ([4, 9] as const) : ([[8, 31], [33, 100], [8, 400]] as const)[seed % 3]!; // prettier-ignore
  const [WG, WORDS] = [tiny ? 4 : [16, 64][Math.floor(seed / 3) % 2]!, Math.ceil(most / 32)];
  const [count, firstRow] = [tiny || known ? 1 : pick(uniform, [1, 2]), pick(uniform, [0, 1])];
  const [column, listLength] = [pick(uniform, [0, 2]), 2];
  const columns = column + G;
  const table = new Uint32Array(2 * listLength * columns * 4).fill(0xfffffff0);
  const rows = new Uint32Array((firstRow + count) * 4).fill(0xffffff00);
  const resident = new Uint32Array(2 * G * SELECTED).fill(0x7fffffff);
  const wanted = new Uint32Array(count * G * SELECTED);
  const moves = new Uint32Array(count * G * (1 + 2 * SELECTED)).fill(0xdeadbeef);
  const tallyAt = pick(uniform, [0, 5]);
  const tally = Uint32Array.from({ length: 2 * (tallyAt + count * G + 1) }, (_, i) => 7 * i);
  const wantTally = tally.slice();
  const [wantResident, wantMoves] = [resident.slice(), moves.slice()];
  for (let m = 0; m < count; m++) {
    const sequence = 1 - m;
    rows[(firstRow + m) * 4 + 2] = sequence;
    for (let g = 0; g < G; g++) {
      const active = known || uniform() < 0.8;
      table.set([active ? 3 : 0, 5, 0, 0], (sequence * listLength * columns + column + g) * 4);
      const { old, next } = known ? KNOWN : drawLists(uniform, most, SELECTED);
      const [held, asked] = [(sequence * G + g) * SELECTED, (m * G + g) * SELECTED];
      resident.set(old, held);
      wantResident.set(old, held);
      wanted.set(next, asked);
      const places = [...old.keys()].filter((i) => !next.includes(old[i]!));
      const missing = active ? next.filter((chunk) => !old.includes(chunk)) : [];
      const to = (m * G + g) * (1 + 2 * SELECTED);
      wantMoves[to] = missing.length;
      if (active) wantTally[2 * (tallyAt + m * G + g)]! += SELECTED;
      wantTally[2 * (tallyAt + m * G + g) + 1]! += missing.length;
      for (const [i, chunk] of missing.entries()) {
        wantMoves.set([places[i]!, chunk], to + 1 + 2 * i);
        wantResident[held + places[i]!] = chunk;
      }
    }
  }
  return {
    label: `${count} rows, ${G} heads, ${SELECTED} of ${most} chunks, WG ${WG}`,
    constants: { WG, G, SELECTED, WORDS },
    params: { firstRow, listLength, columns, column, tally: tallyAt },
    grid: [G, count, 1] as const,
    buffers: { rows, table, wanted, resident, tally, moves },
    want: { resident: wantResident, tally: wantTally, moves: wantMoves },
    terms: 1,
  };
}

export default spec({
  kernel: shadow_plan,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    [
      "fetches what is there",
      "mine.y += 1u - ((atomicLoad(&residentBits[fresh / 32u]) >> (fresh % 32u)) & 1u);",
      "mine.y += 1u;",
    ],
    ["lists that gave up nothing", "if (head.x == 0u) {", "if (false) {"],
    ["forgets what it fetched", "resident[held + moves[to + 1u + 2u * i]] = moves[to + 2u + 2u * i];", ""],
    ["what was wanted is not counted", "+= vec2u(SELECTED, all)", "+= vec2u(0u, all)"],
    ["counts of another row", "params.tally + wg.y * G + wg.x", "params.tally + wg.x"],
    ["chunks modulo 32", "wantedBits[wanted[asked + i] / 32u]", "wantedBits[0]"],
  ],
});

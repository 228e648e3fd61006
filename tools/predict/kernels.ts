// What a kernel's time depends on beside bytes and operations: read off its text where that says it, else off the loops by hand.
import type { Dispatched } from "../../src/gpu/paper.ts";
import { textOf } from "../../src/gpu/text.ts";

/** One dispatch, as the prediction sees it. */
export interface Work {
  bytes: number;
  /** Multiply-adds, and how many instructions each of them costs, unpacking and addressing included. */
  multiplyAdds: number;
  slots: number;
  workgroups: number;
  threads: number;
  /** Times that a workgroup waits for memory, one after the other, and for all of its threads. */
  waits: number;
  barriers: number;
}

type Constants = Readonly<Record<string, number>>;

/** Of a workgroup: its share of the dispatch. */
interface Share {
  constants: Constants;
  threads: number;
  bytes: number;
  multiplyAdds: number;
  /** Bytes of one element of the buffer that is streamed. */
  width: number;
}

interface KernelFacts {
  /** The buffer that most bytes come from. */
  stream?: string;
  slots?: (constants: Constants) => number;
  /** Loads of a thread that do not wait for each other. */
  inFlight?: (constants: Constants) => number;
  /** Where loads are not streamed. */
  waits?: (share: Share) => number;
  barriers?: (share: Share) => number;
}

const of = (constants: Constants, name: string): number => constants[name] ?? 1;

/** Inputs that a tile is summed over, in steps of BK. */
const tilesOf = ({ constants: c, multiplyAdds }: Share, outputs: number): number =>
  multiplyAdds / outputs / of(c, "BK");
const gemmTiles = (share: Share): number => {
  const { constants: c } = share;
  return tilesOf(share, of(c, "WY") * of(c, "TM") * of(c, "WX") * of(c, "TN") * 4);
};
const packedTiles = (share: Share): number => {
  const { constants: c } = share;
  return tilesOf(share, of(c, "WY") * of(c, "TM") * of(c, "WX") * of(c, "TN"));
};
const headTiles = (share: Share): number => {
  const { constants: c } = share;
  return tilesOf(share, of(c, "WY") * of(c, "TM") * of(c, "E"));
};
/** Pages of 32 tokens that a workgroup of `rows` query rows reads; a key costs 2·E multiply-adds for each. */
const pages = ({ constants: c, multiplyAdds }: Share, rows: number): number =>
  multiplyAdds / (2 * of(c, "E") * rows * 32);

/** Four values of 4 bits take six instructions to unpack, for all rows; each of a row's products a second one for Σx. */
const unpacking = (constants: Constants): number => 2 + 1.5 / of(constants, "ROWS");
const columns = (constants: Constants): number => constants["COLS"] ?? 2;

/** Loads of K and V that attn_decode_vec has under way per thread: eight slots for each subgroup. */
const vectorLoads = (c: Constants): number => (of(c, "E") * of(c, "KV_BITS")) / 8 / of(c, "LANES");

const KERNELS: Readonly<Record<string, KernelFacts>> = {
  gemv_split: { stream: "words", slots: unpacking, inFlight: columns, barriers: () => 1 },
  // Masked words are converted byte by byte: five instructions for four values.
  gemv_deep: { stream: "words", slots: (c) => 1.6 + 1 / of(c, "ROWS"), inFlight: columns, barriers: () => 3 },
  qkv_deep: { stream: "words", slots: (c) => 1.6 + 1 / of(c, "ROWS"), inFlight: columns, barriers: () => 4 },
  // A row's record, then its turn and the entry of its page.
  place_heads: { waits: () => 2, barriers: ({ constants: c }) => (of(c, "NORM") > 0 ? 3 + Math.log2(of(c, "WG")) : 1) },
  gemv_cols: { stream: "words", slots: (constants) => 2 + 1 / of(constants, "ROWS"), inFlight: columns },
  qkv_split: { stream: "words", slots: unpacking, inFlight: () => 2, barriers: () => 4 },
  qkv_cols: { stream: "words", slots: unpacking, inFlight: () => 2, barriers: () => 4 },
  // Products by tiles reach 60 % of the multiply-add peak: what ExecuTorch's do (docs/performance.md). The next tile is loaded while
  // this one is multiplied.
  gemm_tile: { stream: "b", slots: () => 1.7, waits: (share) => gemmTiles(share), barriers: gemmTiles },
  // The tile's weights are unpacked once for all of its rows.
  gemm_packed: {
    stream: "words",
    slots: (c) => 1.7 + 1.5 / (of(c, "TM") * of(c, "WY")),
    waits: (share) => packedTiles(share),
    barriers: (share) => 2 * packedTiles(share),
  },
  qkv_packed: {
    stream: "words",
    slots: (c) => 1.8 + 1.5 / (of(c, "TM") * of(c, "WY")),
    waits: (share) => headTiles(share),
    barriers: (share) => 2 * headTiles(share),
  },
  attn_decode_vec: { stream: "kv", slots: () => 2, inFlight: vectorLoads, barriers: () => 1 },
  attn_decode_sg: { stream: "kv", slots: () => 2, inFlight: () => 2 },
  attn_decode: {
    stream: "kv",
    slots: () => 2,
    inFlight: () => 2,
    barriers: (share) => (6 * pages(share, of(share.constants, "R"))) / of(share.constants, "PAGES"),
  },
  // On a CPU a load costs as much as several products. Fitted to docs/bench/swiftshader-4096-*.json.
  attn_decode_regs: { slots: ({ KV_BITS = 16 }) => (KV_BITS === 32 ? 6 : KV_BITS === 16 ? 2.35 : 1.6) },
  // Of each page keys, then values, 64 numbers of each at a time.
  attn_prefill_tile: {
    stream: "kv",
    slots: () => 3, // by the loop 1.6; ExecuTorch's takes 7 (docs/performance.md)
    waits: (share) => 2 * pages(share, share.threads / 2),
    barriers: (share) => 5 * pages(share, share.threads / 2),
  },
  attn_combine: { stream: "partials", inFlight: (c) => of(c, "BATCH"), barriers: () => 1 },
  unpack: { stream: "words", slots: () => 3, inFlight: () => 2 },
  rmsnorm: { stream: "x", barriers: ({ constants }) => 1 + Math.log2(of(constants, "WG")) },
  sample_slices: { stream: "logits", inFlight: () => 4, barriers: () => 8 },
};

/** Names of the kernels that are described here; all others load one element after the other, and have no barrier. */
export const DESCRIBED: readonly string[] = Object.keys(KERNELS);

const texts = new Map<string, Promise<string>>();

export async function workOf(dispatched: Dispatched): Promise<Work> {
  const { kernel, constants: given, grid, bytes, flops } = dispatched;
  let text = texts.get(kernel.name);
  if (!text) texts.set(kernel.name, (text = textOf(kernel)));
  const code = await text;
  const constants = { ...kernel.overrides, ...kernel.tiles, ...given };
  const facts = KERNELS[kernel.name] ?? {};
  const threads = threadsOf(code, constants);
  const workgroups = grid[0] * grid[1] * grid[2];
  const share = {
    constants,
    threads,
    bytes: bytes / workgroups,
    multiplyAdds: flops / 2 / workgroups,
    width: elementBytes(code, facts.stream),
  };
  const streamed = share.bytes / (threads * share.width * (facts.inFlight?.(constants) ?? 1));
  return {
    bytes,
    multiplyAdds: flops / 2,
    slots: facts.slots?.(constants) ?? 2,
    workgroups,
    threads,
    waits: Math.max(1, facts.waits?.(share) ?? streamed),
    barriers: facts.barriers?.(share) ?? 0,
  };
}

/** Threads of a workgroup: the product of what @workgroup_size names. */
export function threadsOf(code: string, constants: Constants): number {
  const [, list = "1"] = /@workgroup_size\(([^)]*)\)/.exec(code) ?? [];
  return list
    .split(",")
    .map((size) => valueOf(size.trim(), code, constants))
    .reduce((product, size) => product * size, 1);
}

/** A number, a constant that is given, or one that the text works out of others. */
function valueOf(word: string, code: string, constants: Constants): number {
  if (/^\d/.test(word)) return parseInt(word, 10);
  const given = constants[word];
  if (given !== undefined) return given;
  const [, formula] = new RegExp(`(?:const|override) ${word}(?:: u32)? = ([\\w */]+);`).exec(code) ?? [];
  if (formula === undefined) throw new Error(`predict: @workgroup_size; got ${word}, want a constant of the kernel.`);
  const [first = "", ...others] = formula.split(/ ([*/]) /);
  let value = valueOf(first, code, constants);
  for (let i = 0; i < others.length; i += 2) {
    const next = valueOf(others[i + 1]!, code, constants);
    value = others[i] === "*" ? value * next : Math.floor(value / next);
  }
  return value;
}

/** Bytes of an element of a buffer, as the text declares it. Default: 4. */
function elementBytes(code: string, buffer: string | undefined): number {
  const [, lanes] = new RegExp(`> ${buffer}: array<(?:vec(\\d))?\\w`).exec(code) ?? [];
  return 4 * Number(lanes ?? 1);
}

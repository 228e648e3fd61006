// Changes to pages between two steps: copies within a format, and seals, which turn pages into another format.
import { assert } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { type AnyDispatch, Program } from "../gpu/program.ts";
import type { Arena, PagePlace } from "./arena.ts";
import type { BlockMove } from "./blocks.ts";
import type { Choices } from "./choices.ts";
import { isSealed, isWritten, type SealedFormat, type WrittenFormat } from "./format.ts";

/** A page of one bundle that is replaced by another. */
interface PageMove {
  from: PagePlace;
  to: PagePlace;
  /** Number of the list, of all sequences' lists, whose page it becomes. */
  owner: number;
}

/** What it asks of the cache that it seals pages of. */
interface SealedCache {
  shape: { kvHeads: number; headWidth: number };
  arenas: readonly Arena[];
  choices: Choices | null;
  /** Lists of a sequence. */
  columns: number;
  /** Where the pages of a block lie, store by store (KV head 0 of each). */
  placesOf(block: number): { arena: Arena; places: readonly PagePlace[] };
}

/** Of each dispatch of the program: its first move in the buffer, and how many there are. */
interface SealSizes {
  runs: readonly { first: number; count: number }[];
}

/** Arenas and bundle that one dispatch binds. */
interface Route {
  from: Arena;
  to: Arena;
  bundle: number;
}

/**
 * Turns pages of written formats into sealed ones. A format's `seal` kernel has the buffers `moves` [*] vec2u (first word of
 * a page in `source` and in `destination`), `source` and `destination`, the parameter `first`, and one workgroup per move; if it
 * wants them, also `owners` [*] u32 (the list of each move) and `choices` (choices.ts). A page of twins has one move, from the
 * page of the first; that of the second lies `apart` words behind it.
 */
export class Sealer {
  readonly #gpu: Gpu;
  readonly #moves: GPUBuffer;
  readonly #owners: GPUBuffer;
  readonly #choices: GPUBuffer;
  readonly #routes: Route[] = [];
  #program: Promise<Program<SealSizes>> | null = null;
  readonly #cache: SealedCache;

  /** `most` pages can be sealed in one step. */
  constructor(gpu: Gpu, cache: SealedCache, most: number) {
    const { arenas, choices } = cache;
    this.#gpu = gpu;
    this.#cache = cache;
    this.#moves = gpu.buffer("page moves", most * 8, "scratch");
    this.#owners = gpu.buffer("owners of moved pages", most * 4, "scratch");
    this.#choices = choices?.buffer ?? gpu.unused;
    for (const from of arenas.filter(({ format }) => isWritten(format))) {
      for (const to of arenas.filter(({ format }) => isSealed(format))) {
        for (const bundle of to.buffers.keys())
          if (isSealed(to.formatOf(bundle))) this.#routes.push({ from, to, bundle });
      }
    }
  }

  /** The program that seals the pages of these blocks, prepared. */
  async prepare(blocks: readonly BlockMove[]): Promise<Program<SealSizes>> {
    const moves = blocks.flatMap((move) => this.#pagesOf(move));
    this.#program ??= Program.build(
      this.#gpu,
      "seal pages",
      this.#routes.map((route, index) => this.#dispatch(route, index)),
    );
    const program = await this.#program;
    const sorted = this.#routes.map((route) => moves.filter((move) => takes(route, move)));
    const words = Uint32Array.from(sorted.flat().flatMap(({ from, to }) => [from.word, to.word]));
    assert(
      words.length === 2 * moves.length && words.byteLength <= this.#moves.size,
      "every move has a route and room",
    );
    this.#gpu.write(this.#moves, 0, words);
    this.#gpu.write(
      this.#owners,
      0,
      Uint32Array.from(sorted.flat(), ({ owner }) => owner),
    );
    let first = 0;
    const runs = sorted.map(({ length: count }) => ({ first: (first += count) - count, count }));
    program.prepare({ runs });
    return program;
  }

  #pagesOf({ from, to, sequence }: BlockMove): PageMove[] {
    const { shape, columns } = this.#cache;
    const [source, target] = [this.#cache.placesOf(from), this.#cache.placesOf(to)];
    return source.places.flatMap((place, store) => {
      const into = target.places[store]!;
      if (into.twin === 1 || !isSealed(target.arena.formatOf(into.bundle))) return [];
      return Array.from({ length: shape.kvHeads }, (_, head) => ({
        from: { ...place, word: place.word + head * source.arena.pageWords },
        to: { ...into, word: into.word + head * target.arena.wordsOf(into.bundle) },
        owner: sequence! * columns + store * shape.kvHeads + head,
      }));
    });
  }

  /** Its arenas have other buffers now. */
  forget(): void {
    void this.#program?.then((program) => program.dispose());
    this.#program = null;
  }

  #dispatch({ from, to, bundle }: Route, index: number): AnyDispatch<SealSizes> {
    const format = to.format as SealedFormat;
    const { kvHeads, headWidth } = this.#cache.shape;
    const bytes = 4 * (from.pageWords + to.pageWords);
    return {
      kernel: format.seal,
      constants: format.sealConstants(headWidth, from.format as WrittenFormat, kvHeads * from.pageWords),
      label: `seal ${format.name}, bundle ${bundle}`,
      buffers: {
        moves: this.#moves,
        owners: this.#owners,
        choices: this.#choices,
        source: from.buffers[bundle]!,
        destination: to.buffers[bundle]!,
      },
      params: ({ runs }) => ({ first: runs[index]!.first }),
      grid: ({ runs }) => [runs[index]!.count, 1, 1],
      bytes: ({ runs }) => runs[index]!.count * bytes,
      flops: () => 0,
    };
  }
}

const takes = ({ from, to, bundle }: Route, move: PageMove): boolean =>
  move.from.arena === from.number && move.to.arena === to.number && move.to.bundle === bundle;

// Which kernel variant computes what on this adapter. Of each family and row class the first candidate is the guess for the
// kind of adapter; model/tune.ts measures the others once and the answer is kept here.
import { UnsupportedError } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { type AnyDispatch, RefusedVariant } from "../../gpu/program.ts";
import { type Offer, offers } from "../../gpu/offer.ts";
import type { ModelConfig } from "../config.ts";
import { type Candidates, hardwareCandidates } from "./candidates.ts";
import type { GemmVariant, Linear, WideVariant } from "./linear.ts";
import { nameOf, type RowClass } from "./rowclass.ts";
import type { DecodeVariant, GemvVariant, PrefillVariant, QkvNarrow, QkvWide, Variant } from "./variant.ts";
import type { Matrix } from "../weights/matrix.ts";

/** A product's family, shape and row class: what a measurement holds for. */
export const gemvKey = ({ matrix: { bits, columns, depth }, epilogue }: Linear): string =>
  `gemv ${bits}-bit ${columns}×${depth} ${epilogue}`;
export const qkvNarrowKey = ({ bits, columns, depth }: Matrix): string =>
  `heads of a row ${bits}-bit ${columns}×${depth}`;
export const qkvWideKey = ({ bits, columns, depth }: Matrix, rows: RowClass): string =>
  `heads of ${nameOf(rows)} rows ${bits}-bit ${columns}×${depth}`;
export const gemmKey = ({ matrix: { bits, columns, depth }, epilogue }: Linear, rows: RowClass): string =>
  `gemm ${nameOf(rows)} rows ${bits}-bit ${columns}×${depth} ${epilogue}`;

/** The dispatches of a variant, marked as its own. */
export const using = <D, V extends Variant>(
  family: Family,
  variant: V,
  of: (variant: V) => AnyDispatch<D>[],
): AnyDispatch<D>[] => of(variant).map((each) => ({ ...each, variant: { family, name: variant.name } }));

/** Candidates of a family that this adapter can run, for a row class. */
function fitting<V extends Variant>(listed: readonly V[], offer: Offer, rows: RowClass): readonly V[] {
  const inClass = ({ classes: { least = 0, most = Infinity } = {} }: V) => least <= rows && rows <= most;
  return listed.filter((variant) => offers(offer, variant.needs) && inClass(variant));
}

/** Whether it multiplies plain f32 buffers. Every adapter has such a one: it needs little. */
const isPlain = (variant: WideVariant): variant is GemmVariant => "tile" in variant && variant.kernel !== "gemm_packed";

/** A family's name among candidates, and the type of its variants. */
export type Family = keyof Candidates;
export type VariantOf<F extends Family> = Candidates[F][number];

export class Variants {
  readonly #listed: Candidates;
  readonly #offer: Offer;
  readonly #attentionKey: string;
  /** Name of the variant by key. */
  readonly #chosen = new Map<string, string>();
  /** Families and names of variants that the adapter did not compile. */
  readonly #refused = new Set<string>();

  private constructor(offer: Offer, listed: Candidates, config: ModelConfig, kvBits: number) {
    this.#offer = offer;
    this.#listed = listed;
    this.#attentionKey = `${config.heads}/${config.kvHeads}×${config.headWidth}, ${kvBits}-bit`;
  }

  static async of(
    { offer, profile }: Pick<Gpu, "offer" | "profile">,
    config: ModelConfig,
    kvBits: number,
  ): Promise<Variants> {
    const list = profile.kernels === "tiles" ? hardwareCandidates : (await import("./software.ts")).softwareCandidates;
    return new Variants(offer, list(offer, config, kvBits), config, kvBits);
  }

  /** Variant names by family and shape, for the stats. */
  get chosen(): Record<string, string> {
    return Object.fromEntries(this.#chosen);
  }

  choose(key: string, name: string): void {
    this.#chosen.set(key, name);
  }

  chooseAll(names: Readonly<Record<string, string>>): void {
    for (const [key, name] of Object.entries(names)) this.choose(key, name);
  }

  /** The adapter does not compile it: the next one stands in its place from now on. */
  refuse(family: string, name: string): void {
    this.#refused.add(`${family} ${name}`);
  }

  /** Whether an error is the refusal of a variant: then another one stands in its place, if there is any. */
  outlasts(error: unknown): boolean {
    if (!(error instanceof RefusedVariant)) return false;
    this.refuse(error.variant.family, error.variant.name);
    return true;
  }

  /** Whether heads of few rows may be made in two dispatches (layer/place.ts). */
  get placesHeads(): boolean {
    return this.#listed.qkvNarrow.some(({ kernel }) => kernel === "place_heads");
  }

  /** What there is to choose from; the first one is the default. Throws UnsupportedError where nothing is left. */
  candidates<F extends Family>(family: F, rows: RowClass = 1): readonly VariantOf<F>[] {
    const listed: readonly VariantOf<F>[] = this.#listed[family];
    const usable = listed.filter(({ name }) => !this.#refused.has(`${family} ${name}`));
    const found = fitting(usable, this.#offer, rows);
    if (found.length > 0) return found;
    throw new UnsupportedError(
      `kernels: the adapter runs none of those for ${family}; got ${listed.map(({ name }) => name).join(", ")}, want one of them. Update the driver or take another browser.`,
      { code: "adapter-refused" },
    );
  }

  #pick<F extends Family>(family: F, key: string, rows: RowClass = 1): VariantOf<F> {
    const candidates = this.candidates(family, rows);
    return candidates.find(({ name }) => name === this.#chosen.get(key)) ?? candidates[0]!;
  }

  gemv(linear: Linear): GemvVariant {
    return this.#pick("gemv", gemvKey(linear));
  }

  gemm(linear: Linear, rows: RowClass): WideVariant {
    return this.#pick("gemm", gemmKey(linear, rows), rows);
  }

  /** Of plain f32 buffers, for any number of rows. */
  get matmul(): GemmVariant {
    return this.candidates("gemm", Infinity).find(isPlain)!;
  }

  qkvNarrow(matrix: Matrix): QkvNarrow {
    return this.#pick("qkvNarrow", qkvNarrowKey(matrix));
  }

  qkvWide(matrix: Matrix, rows: RowClass): QkvWide {
    return this.#pick("qkvWide", qkvWideKey(matrix, rows), rows);
  }

  prefillKey(rows: RowClass): string {
    return `prefill attention ${nameOf(rows)} rows ${this.#attentionKey}`;
  }

  prefill(rows: RowClass): PrefillVariant {
    return this.#pick("prefill", this.prefillKey(rows), rows);
  }

  get decodeKey(): string {
    return `decode attention ${this.#attentionKey}`;
  }

  get decode(): DecodeVariant {
    return this.#pick("decode", this.decodeKey);
  }
}

// Products of prompts whose rows are rounded first, where the caller asks for them (`int8Products`, `matrixProducts`): the three
// of a layer after attention. What they compute differs from the exact products, so no measurement chooses between them.
import type { LoadOptions } from "../../api.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { AnyDispatch } from "../../gpu/program.ts";
import type { ModelConfig } from "../config.ts";
import type { Matrix } from "../weights/matrix.ts";
import { Int8Products, isOffered } from "./int8.ts";
import type { Linear } from "./linear.ts";
import { MatrixProducts } from "./matrixproducts.ts";
import type { RowClass } from "./rowclass.ts";
import type { Sizes } from "./sizes.ts";
import type { Variants } from "./variants.ts";

export interface RoundedProducts {
  /** Whether there is such a product with these weights. */
  takes(matrix: Matrix): boolean;
  /** The product of a program for up to `most` rows. Those that decode, which come first, are multiplied as if they were alone. */
  product(linear: Linear, most: RowClass): AnyDispatch<Sizes>[];
}

type Asked = Pick<LoadOptions, "int8Products" | "matrixProducts">;

/** The same for a model; where its products stay in f32 after all, `variants` says so and why. */
export async function roundedFor(
  gpu: Gpu,
  { config, weights }: { config: ModelConfig; weights: { layers: readonly { down: Matrix }[] } },
  variants: Variants,
  rows: number,
  asked: Asked,
): Promise<RoundedProducts | null> {
  const rounded = await roundedProducts(gpu, config, variants, rows, asked);
  const say = (why: string): void => variants.choose("products of prompts", `f32: ${why}`);
  if (!rounded) say("the adapter offers no others");
  else if (!weights.layers.some(({ down }) => rounded.takes(down))) say("weights of this precision have no others");
  return rounded;
}

/**
 * What a caller asks for, as far as the adapter has it: subgroup matrices before int8; null where it has neither. `rows`: of a
 * step, at most.
 */
export async function roundedProducts(
  gpu: Gpu,
  config: ModelConfig,
  variants: Variants,
  rows: number,
  { int8Products, matrixProducts }: Asked,
): Promise<RoundedProducts | null> {
  const matrices = matrixProducts ? await MatrixProducts.offered(gpu, variants, config, rows) : null;
  return matrices ?? (int8Products && isOffered() ? new Int8Products(gpu, variants, config, rows) : null);
}

// What products of prompts read of memory, and on how many workgroups, from their dispatches alone: no GPU.
import { expect, test } from "playwright/test";
import type { Gpu } from "../../src/gpu/device.ts";
import { profileOf } from "../../src/gpu/profile.ts";
import { Int8Products } from "../../src/model/ops/int8.ts";
import { gemm, type Scratch } from "../../src/model/ops/linear.ts";
import type { Sizes } from "../../src/model/ops/sizes.ts";
import { prefillGrid } from "../../src/model/ops/variant.ts";
import { Variants } from "../../src/model/ops/variants.ts";
import { buffer, config, linear } from "./product.ts";

/** What adapters offer: a desktop GPU, and the least that a phone has. */
const OFFERS = {
  desktop: { lanes: 32, f16: true, threads: 256, workgroupBytes: 32768 },
  phone: { lanes: 0, f16: false, threads: 128, workgroupBytes: 16384 },
};
const scratch: Scratch = { normed: buffer, dequantised: buffer };

for (const [name, offer] of Object.entries(OFFERS)) {
  const profile = profileOf({ software: false }, offer);
  const gpu = { unused: buffer, offer, profile } as unknown as Gpu;

  for (const rows of profile.wideRows) {
    test(`${name}, ${rows} rows: a weight of 4 bits costs at most a byte, heads are made of packed weights too`, async () => {
      const variants = await Variants.of(gpu, config, 16);
      const dispatches = gemm(gpu, linear, scratch, variants.gemm(linear, rows));
      const bytes = (count: number) => dispatches.reduce((sum, each) => sum + each.bytes({ rows: count } as Sizes), 0);
      expect(bytes(0) / (3072 * 576)).toBeLessThanOrEqual(1);
      expect(bytes(rows === Infinity ? 512 : rows)).toBeGreaterThan(bytes(0));
      expect(variants.qkvWide(linear.matrix, rows).kernel).toBe("qkv_packed");
    });
  }

  test(`${name}: a prompt of 20 tokens stages keys once for the heads that read them`, async () => {
    const variants = await Variants.of(gpu, config, 16);
    for (const variant of variants.candidates("prefill", 32)) {
      const tokens = Math.floor(variant.threads / 6); // two threads to a token's query of one of three heads
      expect(prefillGrid(variant, 20, 9, 3)).toEqual([Math.ceil(20 / tokens), 3, 1]);
    }
  });
}

test("f32 products of training take a kernel that reads plain buffers", async () => {
  const offer = OFFERS.phone;
  const variants = await Variants.of({ offer, profile: profileOf({ software: false }, offer) }, config, 16);
  expect(variants.matmul.kernel).toMatch(/^gemm_(tile|regs)$/);
});

for (const [name, offer] of Object.entries(OFFERS)) {
  test(`${name}: products in int8 are for the rows of a prompt; those that decode beside it are multiplied as if alone`, async () => {
    const profile = profileOf({ software: false }, offer);
    const made: [string, number][] = [];
    const gpu = { unused: buffer, offer, profile, buffer: (label: string, bytes: number) => made.push([label, bytes]) };
    const variants = await Variants.of({ offer, profile }, config, 16);
    const int8 = new Int8Products(gpu as unknown as Gpu, variants, config, 515);
    expect(made.map(([, bytes]) => bytes)).toEqual([515 * 1536, (515 * 1536) / 2]);
    const dispatches = int8.product(linear, Infinity);
    const grids = (rows: number, decodeRows: number) =>
      dispatches.map(({ kernel, grid, params }) => {
        const sizes = { rows, decodeRows } as Sizes;
        const { first = 0, rows: count = 0 } = params(sizes) as Record<string, number>;
        return [kernel.name, grid(sizes).slice(0, kernel.name === "gemv_deep" ? 0 : 2), first, count];
      });
    const tile = offer.threads === 256 ? 64 : 32;
    const [, quantised, multiplied] = grids(67, 3);
    expect(quantised).toEqual(["quantise_rows", [64, 1], 3, 0]);
    expect(multiplied).toEqual(["gemm_int8", [64 / tile, 48], 3, 64]);
    const isEmpty = (rows: number, decodeRows: number) =>
      dispatches.map(({ grid }) => grid({ rows, decodeRows } as Sizes)[0] === 0);
    expect(isEmpty(64, 0)).toEqual([true, false, false]);
    expect(isEmpty(3, 3)).toEqual([false, true, true]);
  });
}

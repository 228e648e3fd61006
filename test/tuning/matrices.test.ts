// Products by subgroup matrices: which matrices are taken of what adapters list, and what becomes of them, without a GPU.
import { expect, test } from "playwright/test";
import type { Gpu } from "../../src/gpu/device.ts";
import { gemm_matrix } from "../../src/gpu/kernels.gen.ts";
import { matrixShapes } from "../../src/gpu/matrices.ts";
import { offerOf } from "../../src/gpu/offer.ts";
import { profileOf } from "../../src/gpu/profile.ts";
import { specialise } from "../../src/gpu/specialise.ts";
import { textOf } from "../../src/gpu/text.ts";
import { MatrixProducts, matrixTiles } from "../../src/model/ops/matrixproducts.ts";
import { roundedFor, roundedProducts } from "../../src/model/ops/rounded.ts";
import type { Sizes } from "../../src/model/ops/sizes.ts";
import { Variants } from "../../src/model/ops/variants.ts";
import { buffer, config, linear } from "./product.ts";

Object.assign(globalThis, { GPUShaderStage: { COMPUTE: 4 } }); // where kernels are compiled, as in a browser

const MATRICES = "chromium-experimental-subgroup-matrix";
const ALL = ["subgroups", "shader-f16", "subgroup-size-control", MATRICES];

type Listed = readonly (readonly [component: string, result: string, M: number, N: number, K: number])[];

/** What kinds of adapters list, and lanes of their subgroups. */
const ADAPTERS = {
  nvidia: { listed: [["f16", "f16", 16, 16, 16], ["f16", "f32", 16, 8, 8], ["f16", "f32", 16, 16, 16]], least: 32, most: 32 }, // prettier-ignore
  amd: { listed: [["f16", "f32", 16, 16, 16]], least: 64, most: 64 },
  intel: {
    listed: [
      ["i8", "i32", 8, 16, 32],
      ["f16", "f32", 8, 16, 16],
    ],
    least: 8,
    most: 32,
  },
  apple: {
    listed: [
      ["f32", "f32", 8, 8, 8],
      ["f16", "f16", 8, 8, 8],
    ],
    least: 32,
    most: 32,
  },
  lavapipe: {
    listed: [
      ["f16", "f16", 8, 8, 8],
      ["f16", "f32", 8, 8, 8],
      ["i8", "i32", 8, 8, 8],
    ],
    least: 8,
    most: 8,
  },
} satisfies Record<string, { listed: Listed; least: number; most: number }>;

/** `refuses`: its compiler does not take the kernel's text. */
function deviceOf(
  { listed, least, most }: { listed: Listed; least: number; most: number },
  features = ALL,
  refuses = false,
) {
  const configs = listed.map(([componentType, resultComponentType, M, N, K]) => ({ componentType, resultComponentType, M, N, K })); // prettier-ignore
  const made: string[] = [];
  const device = {
    features: new Set(features),
    adapterInfo: { subgroupMinSize: least, subgroupMaxSize: most, subgroupMatrixConfigs: configs },
    limits: { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 32768 },
    pushErrorScope: () => {},
    popErrorScope: async () => (refuses ? { message: "no such builtin" } : null),
    createShaderModule: ({ code }: { code: string }) => made.push(code),
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createComputePipelineAsync: async () => ({}),
  };
  return { device: device as unknown as GPUDevice, made };
}

test("taken: matrices with sums in f32, of f16 first, of subgroups whose size is known", () => {
  const taken = (name: keyof typeof ADAPTERS, features = ALL) =>
    matrixShapes(deviceOf(ADAPTERS[name], features).device).map(({ M, N, D, HALF, LANES }) => [M, N, D, HALF, LANES]);
  expect(taken("nvidia")).toEqual([[16, 16, 16, 1, 32], [16, 8, 8, 1, 32]]); // prettier-ignore
  expect(taken("amd")).toEqual([[16, 16, 16, 1, 64]]);
  expect(taken("intel")).toEqual([[8, 16, 16, 1, 32]]);
  expect(taken("apple")).toEqual([[8, 8, 8, 0, 32]]);
  expect(taken("lavapipe")).toEqual([[8, 8, 8, 1, 8]]);
  const without = (feature: string) => ALL.filter((name) => name !== feature);
  expect(taken("nvidia", without(MATRICES))).toEqual([]);
  expect(taken("nvidia", without("shader-f16"))).toEqual([]);
  expect(taken("intel", without("subgroup-size-control"))).toEqual([]); // subgroups of 8, 16 or 32
});

for (const [name, adapter] of Object.entries(ADAPTERS))
  test(`${name}: tiles are whole matrices, and the text is of their type`, async () => {
    const { device } = deviceOf(adapter);
    const tiles = matrixTiles(matrixShapes(device), offerOf(device))!;
    expect(tiles.map(({ rows, columns }) => [rows, columns])).toEqual([[32, 64], [64, 64]]); // prettier-ignore
    for (const { rows, columns, threads, workgroupBytes, constants } of tiles) {
      const { M, N, D, HALF, LANES, SX, SY, TM, TN, BK } = constants;
      expect([SY * TM * M, SX * TN * N, SX * SY * LANES, BK % D]).toEqual([rows, columns, threads, 0]);
      expect(workgroupBytes).toBeLessThanOrEqual(rows === 32 ? 16384 : 32768);
      const code = await specialise({ ...gemm_matrix, code: await textOf(gemm_matrix) }, constants);
      expect(code.startsWith("enable f16;")).toBe(HALF === 1);
      expect(code).toContain(`alias Part = ${HALF ? "f16" : "f32"};`);
      expect(code).toContain(`const LANES: u32 = ${LANES};`);
    }
  });

async function gpuOf(device: GPUDevice) {
  const buffers: [string, number][] = [];
  const offer = offerOf(device);
  const profile = profileOf({ software: false }, offer);
  const gpu = { device, unused: buffer, offer, profile, buffer: (label: string, size: number) => buffers.push([label, size]) }; // prettier-ignore
  return { gpu: gpu as unknown as Gpu, buffers, variants: await Variants.of({ offer, profile }, config, 16) };
}

test("asked for and offered: rows are rounded once and multiplied; those that decode beside them are multiplied as if alone", async () => {
  const { device, made } = deviceOf(ADAPTERS.nvidia);
  const { gpu, buffers, variants } = await gpuOf(device);
  const products = await roundedProducts(gpu, config, variants, 515, { matrixProducts: true, int8Products: true });
  expect(products).toBeInstanceOf(MatrixProducts);
  expect(made[0]).toContain("const M: u32 = 16;");
  expect(buffers.map(([, bytes]) => bytes)).toEqual([2 * 515 * 1536, 4 * 515]);
  expect(([4, 8, 16, 32] as const).map((bits) => products!.takes({ ...linear.matrix, bits }))).toEqual([
    true,
    true,
    true,
    false,
  ]);
  const sizes = { rows: 67, decodeRows: 3 } as Sizes;
  const dispatches = products!.product(linear, Infinity);
  expect(dispatches.map(({ kernel }) => kernel.name)).toEqual(["gemv_deep", "half_rows", "gemm_matrix"]);
  expect(dispatches.slice(1).map(({ grid }) => grid(sizes))).toEqual([[64, 1, 1], [1, 48, 1]]); // prettier-ignore
  expect(dispatches[2]!.params(sizes)).toMatchObject({ rows: 64, first: 3, depth: 576, columns: 3072, yStride: 1536 });
  expect(variants.chosen).toEqual({ "products of prompts": "matrices 16×16×16, f16" });
  expect(products!.product(linear, 32)[2]!.grid(sizes)).toEqual([2, 48, 1]); // tiles of 32 rows
});

test("not offered, or refused by the compiler: products stay as they are", async () => {
  const ask = async (features: string[], refuses = false) => {
    const { device } = deviceOf(ADAPTERS.nvidia, features, refuses);
    const { gpu, buffers, variants } = await gpuOf(device);
    return [await roundedProducts(gpu, config, variants, 515, { matrixProducts: true }), buffers];
  };
  expect(await ask(["subgroups", "shader-f16"])).toEqual([null, []]);
  expect(await ask(ALL, true)).toEqual([null, []]);
});

test("asked for in vain: the variants say so and why", async () => {
  const said = async (features: string[], bits: 4 | 32) => {
    const { gpu, variants } = await gpuOf(deviceOf(ADAPTERS.nvidia, features).device);
    const layers = [{ down: { ...linear.matrix, bits } }];
    await roundedFor(gpu, { config, weights: { layers } }, variants, 515, { matrixProducts: true });
    return variants.chosen["products of prompts"];
  };
  expect(await said(["subgroups", "shader-f16"], 4)).toMatch(/^f32: the adapter offers/);
  expect(await said(ALL, 32)).toMatch(/^f32: weights of this precision/);
  expect(await said(ALL, 4), "until a prompt is read").toBeUndefined();
});

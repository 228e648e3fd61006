// What the products of a layer cost in f32, in int8 and by subgroup matrices: CPU time of the adapter's threads for each dispatch,
// submitted alone, least of some times. Shapes of SmolLM2-135M with random weights of 4 bits; a device that says it is a GPU.
//   node test/native.mjs --entry test/rounded/products.ts ROWS TIMES
// ROWS: as 64,256.
import { openGpu, useDawn } from "../dawn.ts";
import { argv, exit } from "node:process";
import { Gpu } from "../../src/gpu/device.ts";
import { type AnyDispatch, Program } from "../../src/gpu/program.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { gemm, type Linear, type Scratch } from "../../src/model/ops/linear.ts";
import { classFor } from "../../src/model/ops/rowclass.ts";
import { roundedProducts } from "../../src/model/ops/rounded.ts";
import type { Sizes } from "../../src/model/ops/sizes.ts";
import { Variants } from "../../src/model/ops/variants.ts";
import { random } from "../kernels/spec.ts";
import { randomMatrix } from "../kernels/matrix.ts";
import { timed } from "../recovery/time.ts";

useDawn();

const [given, times] = argv.slice(2) as [string, string];
const all = given.split(",").map(Number);
const config = { heads: 9, kvHeads: 3, headWidth: 64, hiddenSize: 576, intermediateSize: 1536 } as ModelConfig;
const gpu = await Gpu.open(openGpu);
const uniform = random(1);

function filled(label: string, data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): GPUBuffer {
  const buffer = gpu.buffer(label, data.byteLength, "scratch");
  gpu.write(buffer, 0, data);
  return buffer;
}

const noise = (count: number) => Float32Array.from({ length: count }, () => 2 * uniform() - 1);
const most = Math.max(...all);
const [x, y] = [filled("x", noise(most * 1536)), gpu.buffer("y", most * 1536 * 4, "scratch")];

function linear(label: string, [columns, depth]: readonly [number, number], epilogue: Linear["epilogue"]): Linear {
  const { words, scales, stride } = randomMatrix(uniform, { bits: 4, group: 32, columns, depth });
  const piece = { first: 0, stride, words: filled("words", words as Uint32Array<ArrayBuffer>), scales: filled("scales", scales as Uint32Array<ArrayBuffer>) }; // prettier-ignore
  const norm = epilogue === "swiglu" ? { norm: { weight: filled("gamma", noise(depth)), epsilon: 1e-5 } } : {};
  const matrix = { name: label, bits: 4, group: 32, columns, depth, pieces: [piece] } as const;
  return { label, matrix, x, y, epilogue, rows: (s) => s.rows, ...norm };
}

const layer = [
  linear("output", [576, 576], "add"),
  linear("gate·up", [3072, 576], "swiglu"),
  linear("down", [576, 1536], "add"),
];
const variants = await Variants.of(gpu, config, 16);
const [int8, matrices] = await Promise.all(
  ["int8Products", "matrixProducts"].map((name) => roundedProducts(gpu, config, variants, most, { [name]: true })),
);

/** CPU milliseconds of a dispatch, the least of some times. */
async function costOf(dispatch: AnyDispatch<Sizes>, sizes: Sizes): Promise<number> {
  const program = await Program.build(gpu, dispatch.label, [dispatch]);
  program.prepare(sizes);
  let least = Infinity;
  for (let i = 0; i <= Number(times); i++) {
    const { cpu } = await timed(async () => {
      await program.run(sizes);
      await gpu.done();
    });
    if (i > 0) least = Math.min(least, cpu); // the first one is compiled
  }
  program.dispose();
  return least;
}

console.log(gpu.adapter.name, JSON.stringify(variants.chosen));
for (const rows of all) {
  const sizes = { rows, decodeRows: 0 } as Sizes;
  const most = classFor(rows, gpu.profile);
  for (const what of layer) {
    const kinds = {
      f32: gemm(gpu, what, {} as Scratch, variants.gemm(what, most)),
      int8: int8?.product(what, most) ?? [],
      matrices: matrices?.product(what, most) ?? [],
    };
    for (const [kind, dispatches] of Object.entries(kinds)) {
      const live = dispatches.filter(({ grid }) => grid(sizes)[0] > 0);
      const costs = [];
      for (const each of live) costs.push(`${each.kernel.name} ${(await costOf(each, sizes)).toFixed(2)}`);
      console.log(`${rows} rows, ${what.label}, ${kind}: ${costs.join(", ")} ms`);
    }
  }
}
exit(0);

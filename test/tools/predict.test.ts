// The prediction of time from dispatches, and the random models that stand for published shapes. No GPU is used.
import { expect, test } from "playwright/test";
import { globals } from "webgpu";
import type { KernelSource } from "../../src/gpu/kernel.ts";
import * as kernels from "../../src/gpu/kernels.gen.ts";
import { textOf } from "../../src/gpu/text.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { parseRecipe } from "../../src/recipes.ts";
import { type Device, DEVICES } from "../../tools/predict/devices.ts";
import { curveOf, variantOf } from "../../tools/predict/curve.ts";
import { factsOf } from "../../tools/predict/facts.ts";
import { DESCRIBED, threadsOf, type Work, workOf } from "../../tools/predict/kernels.ts";
import { openNamed } from "../../tools/predict/open.ts";
import { dispatchesOf, type Repeated } from "../../tools/predict/paper.ts";
import { boundBy, boundsOf, predict } from "../../tools/predict/time.ts";
import { randomModel } from "../../tools/shapes/file.ts";
import type { ModelShape } from "../../tools/shapes/shapes.ts";

Object.assign(globalThis, globals);

const DEVICE = DEVICES.find(({ name }) => name === "M4 Pro")!;

/** Small, with heads in groups. */
const SHAPE: ModelShape = {
  name: "toy",
  architecture: "qwen2",
  hiddenSize: 64,
  intermediateSize: 128,
  layers: 4,
  heads: 4,
  kvHeads: 2,
  headWidth: 32,
  vocabulary: 512,
  ropeBase: 10000,
};
const open = () => openCheckpoint([randomModel(SHAPE)]);

const work = (fields: Partial<Work>): Work => ({
  bytes: 0,
  multiplyAdds: 0,
  slots: 1,
  workgroups: 1000,
  threads: 64,
  waits: 0,
  barriers: 0,
  ...fields,
});

test("a dispatch takes what bounds it most: bytes, instructions, or one wait after the other", () => {
  const copy = work({ bytes: 1e9, workgroups: 1e6, waits: 1 });
  expect(boundBy(boundsOf(copy, DEVICE))).toBe("memory");
  expect(boundsOf(copy, DEVICE).memory).toBeCloseTo(1e9 / (0.85 * 273e9) / 1e-6, 3);
  const multiply = work({ multiplyAdds: 4.6e9, workgroups: 4800, waits: 1 });
  expect(boundBy(boundsOf(multiply, DEVICE))).toBe("arithmetic");
  expect(boundsOf(multiply, DEVICE).arithmetic).toBeCloseTo(1000, 0); // 9.2 GFLOP at 9.2 TFLOP/s
  const chain = work({ bytes: 1e5, workgroups: 1, waits: 100, barriers: 10 });
  expect(boundBy(boundsOf(chain, DEVICE))).toBe("latency");
  expect(boundsOf(chain, DEVICE).latency).toBeCloseTo(100 * DEVICE.latency + 10 * DEVICE.barrier, 9);
});

test("few workgroups leave cores idle, many run in rounds", () => {
  const one = boundsOf(work({ multiplyAdds: 1e6, workgroups: 1, threads: 256 }), DEVICE).arithmetic;
  const all = boundsOf(work({ multiplyAdds: 20e6, workgroups: 20, threads: 256 }), DEVICE).arithmetic;
  expect(one).toBeCloseTo(all, 9);
  const waits = (workgroups: number) => boundsOf(work({ workgroups, waits: 1, threads: 768 }), DEVICE).latency;
  expect(waits(20)).toBeCloseTo(DEVICE.latency, 9);
  expect(waits(21)).toBeCloseTo(2 * DEVICE.latency, 9);
});

test("gaps count for each dispatch", () => {
  const { ms, parts } = predict([{ work: work({}), count: 100 }], DEVICE);
  expect(parts.gaps).toBeCloseTo(0.1 * DEVICE.gap, 9);
  expect(ms).toBeCloseTo(parts.gaps, 9);
});

test("the workgroup of every kernel is found, and what is said of kernels is of kernels that there are", async () => {
  const sources = Object.values(kernels).filter((each): each is KernelSource & typeof each => "code" in each);
  expect(sources.length).toBeGreaterThan(50);
  for (const source of sources) {
    const threads = threadsOf(await textOf(source), { ...source.overrides, ...source.tiles });
    expect(threads, source.name).toBeGreaterThan(0);
    expect(threads, source.name).toBeLessThanOrEqual(1024);
  }
  expect(DESCRIBED.filter((name) => !(name in kernels))).toEqual([]);
});

test("random files are the same for the same seed, whatever is read of them first", async () => {
  const [file, again, other] = [randomModel(SHAPE), randomModel(SHAPE), randomModel(SHAPE, 2)];
  const bytes = async (blob: Blob) => Buffer.from(await blob.arrayBuffer());
  const whole = await bytes(file.slice(0, file.size));
  expect((await bytes(again.slice(40000, 70000))).equals(whole.subarray(40000, 70000))).toBe(true);
  expect((await bytes(other.slice(0, other.size))).equals(whole)).toBe(false);
});

const total = (all: readonly Repeated[], field: "bytes" | "flops", label: RegExp): number =>
  all.filter((each) => label.test(each.label)).reduce((sum, each) => sum + each.count * each[field], 0);

test("the engine on paper reads a prompt in chunks and writes tokens, and its attention grows with the prompt", async () => {
  const facts = factsOf(DEVICE);
  const [short, long] = await dispatchesOf(await open(), facts, [512, 2048], { kv: "f16", context: 2112 });
  const { heads, headWidth, layers } = SHAPE;
  // Half of the square, and what lists round up to.
  const square = (tokens: number) => 2 * tokens ** 2 * heads * headWidth * layers;
  for (const { tokens, prefill } of [short!, long!])
    expect(Math.abs(total(prefill, "flops", /^prefill attention$/) / square(tokens) - 1)).toBeLessThan(0.1);
  const { kvBytes } = parseRecipe("f16").price({ ...SHAPE, windows: [0, 0, 0, 0], context: 2112, swiftkv: null }, 2048);
  expect(Math.abs(total(long!.decode, "bytes", /^attention$/) / kvBytes - 1)).toBeLessThan(0.1);
  expect(long!.decode.find(({ label }) => label === "qkv")!.count).toBe(layers);
});

test("a student's prompt takes the time of its own layers", async () => {
  const checkpoint = await open();
  const [dense, student] = await Promise.all(
    ["f16", "swiftkv=half"].map((name) => curveOf(checkpoint, DEVICE, variantOf(name, 4), [2048])),
  );
  const share = student!.points[0]!.prefill.ms / dense!.points[0]!.prefill.ms;
  expect(share).toBeGreaterThan(0.4);
  expect(share).toBeLessThan(0.8);
});

test("KIVI's sealed pages are not read as others too", async () => {
  const device: Device = DEVICE;
  const checkpoint = await open();
  const bytes = async (kv: string) => {
    const [costs] = await dispatchesOf(checkpoint, factsOf(device), [2048], { kv, context: 2112 });
    return total(costs!.decode, "bytes", /attention/);
  };
  expect(await bytes("kivi:bits=4")).toBeLessThan((await bytes("f16")) / 2);
});

test("every device has time for every dispatch", async () => {
  const checkpoint = await open();
  for (const device of DEVICES) {
    const [costs] = await dispatchesOf(checkpoint, factsOf(device), [96], { kv: "shadow", context: 160 });
    for (const each of costs!.decode) {
      const bounds = boundsOf(await workOf(each), device);
      expect(bounds[boundBy(bounds)], `${device.name} ${each.label}`).toBeGreaterThan(0);
    }
  }
});

test("kernels that are offered more buffers than they have get the lengths of their own", async () => {
  const facts = factsOf(DEVICES.find(({ name }) => name === "SwiftShader")!);
  const large = await openNamed("smollm2-135m"); // lengths are fixed from 32 MiB of weights on
  const [costs] = await dispatchesOf(large, facts, [96], { kv: "snapkv:budget=64", context: 160 });
  expect(costs!.prefill.map(({ kernel }) => kernel.name)).toContain("compact");
});

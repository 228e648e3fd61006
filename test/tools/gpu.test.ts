// The run on a GPU machine, as far as it needs none: what is done in which time, and the report made of what comes.
import { expect, test } from "playwright/test";
import { KernelOutcomes } from "../../tools/gpu/outcomes.ts";
import { type Host, type Planned, runAll, TINY, wholePlan } from "../../tools/gpu/plan.ts";
import { fileNameOf, type Line, reportOf, summaryOf } from "../../tools/gpu/results.ts";
import { shapeNamed } from "../../tools/shapes/shapes.ts";

const planned = (name: string, seconds: number, most = 100): Planned => ({
  name,
  slice: { kind: "peaks" },
  seconds,
  most,
});

/** A machine on which slices take so long by name; those that take more than they may are stopped. */
function machine(takes: Record<string, number>, failing: readonly string[] = []) {
  let clock = 0;
  const said: string[] = [];
  const host: Host = {
    now: () => clock,
    async run({ name }, seconds) {
      clock += Math.min(seconds, takes[name]!);
      said.push(`${name} ${seconds}`);
      if (failing.includes(name)) return "the device was lost";
      return takes[name]! > seconds ? "stopped" : null;
    },
    async skipped(name, why) {
      said.push(`${name}: ${why}`);
    },
    async done() {
      said.push("written");
    },
  };
  return { host, said, clock: () => clock };
}

test("slices run in order while their time lasts, and smaller ones after one that does not fit", async () => {
  const { host, said, clock } = machine({ a: 30, b: 10, c: 5 });
  await runAll([planned("a", 10, 40), planned("b", 20), planned("c", 5)], 45, host);
  expect(said).toEqual(["a 40", "written", "b: 15 s were left, it wants 20", "c 15", "written"]);
  expect(clock()).toBeLessThanOrEqual(45);
});

test("one that fails or hangs costs its own time, and what it wrote stays", async () => {
  const { host, said, clock } = machine({ lost: 3, hangs: 1e6, last: 1 }, ["lost"]);
  await runAll([planned("lost", 1), planned("hangs", 1, 20), planned("last", 1)], 60, host);
  expect(said).toEqual([
    "lost 60",
    "lost: the device was lost",
    "written",
    "hangs 20",
    "hangs: stopped",
    "written",
    "last 37",
    "written",
  ]);
  expect(clock()).toBe(24);
});

test("the plan names shapes that there are, and the first slices say most", () => {
  const whole = [...wholePlan(() => 5000)];
  for (const { slice } of whole) if (slice.kind === "speed") expect(shapeNamed(slice.shape)).not.toBeNull();
  expect(whole.slice(0, 3).map(({ name }) => name)).toEqual(["peaks", "golden f32", "llama-3.2-1b f16"]);
  const kinds = (plan: readonly Planned[]) => new Set(plan.map(({ slice }) => slice.kind));
  expect(kinds(TINY)).toEqual(kinds(whole));
  expect(new Set(whole.flatMap(({ slice }) => (slice.kind === "speed" ? [slice.shape] : []))).size).toBe(4);
});

test("an adapter of a CPU's speed gets the smallest model at short lengths, once its peaks are known", async () => {
  const { host, said } = machine(new Proxy({}, { get: () => 1 }));
  await runAll(
    wholePlan(() => (said.length > 0 ? 40 : null)),
    460,
    host,
  );
  const names = said.filter((text) => text !== "written").map((text) => text.replace(/ \d+$/, ""));
  const toys = ["toy f16", "toy swiftkv=half", "toy kivi:bits=4", "toy shadow"];
  expect(names).toEqual(["peaks", "smollm2-135m f16", "golden f32", "kernels", ...toys]);
  expect([...wholePlan(() => null)].map(({ name }) => name)).toContain("llama-3.2-1b f16");
});

test("what kernel tests print is read line by line", () => {
  const outcomes = new KernelOutcomes();
  const lines = [
    "nvidia hopper",
    "ok rmsnorm 12 ms",
    "FAILED attn_decode kivi 4/4 7 ms",
    "  case 3: y[0]; got 1, want 2",
  ];
  for (const line of [...lines, "- attn_decode_sg: adapter lacks subgroups"]) outcomes.read(line);
  expect(outcomes.found).toEqual([
    { name: "rmsnorm", outcome: "ok", problems: [] },
    { name: "attn_decode kivi 4/4", outcome: "failed", problems: ["case 3: y[0]; got 1, want 2"] },
    { name: "attn_decode_sg", outcome: "lacking", problems: [] },
  ]);
});

const LINES: readonly Line[] = [
  {
    type: "machine",
    date: "2026-11-29",
    engine: "0.1.0",
    adapter: "NVIDIA H200 (driver 570)",
    vendor: "nvidia",
    architecture: "hopper",
    software: false,
    features: ["subgroups"],
    limits: { maxBufferSize: 2 ** 31 },
    subgroups: [32, 32],
  },
  { type: "peaks", copyGBs: 4000, fmaGflops: 50000, dispatchMicros: 3 },
  { type: "golden", kv: "f32", name: "story", tokens: 120, equal: 120, ok: true, margin: null },
  { type: "kernel", name: "rmsnorm", outcome: "ok", problems: [] },
  { type: "kernel", name: "embed", outcome: "failed", problems: ["case 0"] },
  {
    type: "loaded",
    shape: "llama-3.2-1b",
    recipe: "f16",
    loadMs: 900,
    weightBytes: 1e9,
    scratchBytes: 1,
    variants: {},
  },
  {
    type: "speed",
    shape: "llama-3.2-1b",
    recipe: "f16",
    tokens: 1000,
    prefill: 9000,
    decode: 400,
    prefillMs: [110],
    kvBytesPerToken: 1e5,
  },
  { type: "times", shape: "llama-3.2-1b", recipe: "f16", phase: "decode", tokens: 1000, rows: [] },
  { type: "skipped", name: "llama-3.2-3b f16", why: "out of memory" },
];

test("a report has what came until then, speed as a share of the copy bandwidth", () => {
  const report = reportOf(LINES, "abc");
  expect(fileNameOf(report)).toBe("nvidia-h200-driver-570.json");
  expect(report.kernels).toMatchObject({ passed: 1, failed: [{ name: "embed" }], lacking: [] });
  const [model] = report.models;
  expect(model!.rows[0]!.percentOfCopy).toBeCloseTo((100 * 400 * 1.1e9) / 4e12, 9);
  expect(model!.kernels).toEqual([{ phase: "decode", tokens: 1000, rows: [] }]);
  expect(summaryOf(report)).toContain("1000: reads 9000, writes 400 tokens/s (11.0 % of copy)");
  expect(summaryOf(report)).toContain("left out: llama-3.2-3b f16; out of memory");
});

test("a report of nothing but a failure can be written, too", () => {
  const report = reportOf([{ type: "skipped", name: "peaks", why: "no adapter" }], null);
  expect(fileNameOf(report)).toBe("unknown.json");
  expect(summaryOf(report)).toContain("left out: peaks; no adapter");
});

// npm run predict -- --model smollm2-135m: see HELP.
import { argv, exit } from "node:process";
import { parseArgs } from "node:util";
import { globals } from "webgpu";
import { readConfig } from "../../src/load/read.ts";
import { costsOn, type Curve, curveOf, type Variant, variantOf } from "./curve.ts";
import { type Device, DEVICES } from "./devices.ts";
import { workOf } from "./kernels.ts";
import { openNamed } from "./open.ts";
import type { Repeated } from "./paper.ts";
import { boundBy, boundsOf, microsecondsOf, predict } from "./time.ts";

const HELP = `npm run predict -- --model MODEL [options]

  --model MODEL       smollm2-135m, qwen2.5-0.5b, qwen3-0.6b, llama-3.2-1b, llama-3.2-3b, a folder or a .gguf file
  --recipes LIST      separated by semicolons; default "f16;swiftkv=half;int8;kivi:bits=4;shadow"
  --lengths LIST      tokens of the prompt; default 128,512,1024,2048,4096,8192,16384,32768
  --heads NAME        the kernel variant that makes heads of a decoded token, e.g. "placed deep 8·64"; default: the first one
  --device NAME       one of the table alone
  --kernels           with --device: what the dispatches of the longest prompt's last token, and of the shortest prompt, take
Nothing is run: the engine's own dispatches are counted, and their time is worked out from data sheets (docs/performance.md).`;

const OPTIONS = {
  model: { type: "string" },
  recipes: { type: "string", default: "f16;swiftkv=half;int8;kivi:bits=4;shadow" },
  lengths: { type: "string", default: "128,512,1024,2048,4096,8192,16384,32768" },
  heads: { type: "string" },
  device: { type: "string" },
  kernels: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

Object.assign(globalThis, globals); // names of WebGPU's constants; no adapter is asked for

async function main(): Promise<void> {
  const { values } = parseArgs({ args: argv.slice(2), options: OPTIONS });
  if (values.help || values.model === undefined) return console.log(HELP);
  const checkpoint = await openNamed(values.model);
  const lengths = lengthsOf(values.lengths);
  const devices = devicesOf(values.device);
  const { config } = await readConfig(checkpoint, false);
  for (const name of values.recipes.split(";")) {
    const { options, ...named } = variantOf(name.trim(), config.layers);
    const variant = { ...named, options: { ...options, heads: values.heads } };
    const curves: Curve[] = [];
    for (const device of devices) curves.push(await curveOf(checkpoint, device, variant, lengths));
    console.log(table(`${checkpoint.name}, ${variant.name}`, curves));
    if (!values.kernels) continue;
    for (const device of devices) await printKernels(device, variant);
  }

  async function printKernels(device: Device, variant: Variant): Promise<void> {
    const costs = await costsOn(checkpoint, device, variant, lengths);
    const [first, last] = [costs[0]!, costs.at(-1)!];
    console.log(await kernelTable(`prompt of ${first.tokens} tokens`, first.prefill, device));
    console.log(await kernelTable(`token after ${last.tokens}`, last.decode, device));
  }
}

function lengthsOf(text: string): number[] {
  const lengths = text.split(",").map(Number);
  const wrong = lengths.find((length) => !Number.isInteger(length) || length < 1);
  if (wrong !== undefined) throw new Error(`--lengths: got ${text}, want whole numbers above 0, separated by commas.`);
  return lengths;
}

function devicesOf(name: string | undefined): readonly Device[] {
  const found = DEVICES.filter((device) => name === undefined || device.name === name);
  if (found.length > 0) return found;
  throw new Error(`--device: got ${name}, want one of ${DEVICES.map((device) => device.name).join(", ")}.`);
}

const figure = (value: number): string => value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);

/** Cells below each other, as wide as the widest of their column. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  const pad = (cell: string, at: number) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!));
  return rows.map((row) => row.map(pad).join("  ")).join("\n");
}

/** Tokens a second of reading and of writing. */
function table(title: string, curves: readonly Curve[]): string {
  const lengths = curves[0]!.points.map(({ tokens }) => String(tokens));
  const rows = curves.flatMap(({ device, points }) => [
    [`${device.name} read`, ...points.map(({ tokens, prefill }) => figure((1000 * tokens) / prefill.ms))],
    [`${device.name} write`, ...points.map(({ decode }) => figure(1000 / decode.ms))],
  ]);
  return `${title}: tokens a second, predicted\n${columns([["prompt", ...lengths], ...rows])}\n`;
}

async function kernelTable(title: string, dispatches: readonly Repeated[], device: Device): Promise<string> {
  const lines = await Promise.all(
    dispatches.map(async ({ label, kernel, count, ...dispatched }) => {
      const work = await workOf({ label, kernel, ...dispatched });
      const cost = count * (microsecondsOf(work, device) + device.gap);
      return { label, name: kernel.name, count, cost, work, bound: boundBy(boundsOf(work, device)) };
    }),
  );
  const rows = lines
    .toSorted((a, b) => b.cost - a.cost)
    .map(({ label, name, count, cost, work, bound }) => [
      `${label} (${name})`,
      String(count),
      figure(cost / 1e3),
      String(work.workgroups),
      figure((count * work.bytes) / 1e6),
      figure((2 * count * work.multiplyAdds) / 1e9),
      bound,
    ]);
  const { ms, parts } = predict(lines, device);
  const shares = Object.entries(parts).map(([part, time]) => `${part} ${figure((100 * time) / ms)} %`);
  const head = ["step (kernel)", "calls", "ms", "workgroups", "MB", "GFLOP", "bound by"];
  return `${device.name}, ${title}: ${figure(ms)} ms (${shares.join(", ")})\n${columns([head, ...rows])}\n`;
}

main().then(
  () => exit(0),
  (error: Error) => {
    console.error(`longprompt predict: ${error.message}`);
    exit(1);
  },
);

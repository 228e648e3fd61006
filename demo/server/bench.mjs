// `npm run bench`: the benchmark page without a window; prints the table, writes the JSON.

import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, platform, release, totalmem } from "node:os";
import { dirname } from "node:path";
import { BENCH_HELP, parseBench } from "./arguments/bench.mjs";
import { resolveModel } from "./arguments/models.mjs";
import { columns, command, inPage, pollPage, print, quit } from "./command.mjs";

async function main(argv) {
  const asked = parseBench(argv);
  if (asked.help) return print(`${BENCH_HELP}\n`);
  const model = await resolveModel(asked.model);
  const browser = { headed: asked.headed, ...(asked.software ? { software: true } : {}) };
  const { result, svg } = await inPage({ model, path: "/bench.html", browser }, async (page, source) => {
    const work = asked.compared ? "runComparison" : "runBench";
    const answer = await pollPage(page, work, { ...asked.options, source });
    return answer.error || !asked.plot ? answer : { ...answer, svg: await page.evaluate(drawInPage) };
  });
  const report = { ...result, machine: machine(), commit: commit() };
  if (model.local) report.model = { ...result.model, path: asked.model };
  await print(asked.compared ? comparisonTable(report) : table(report));
  if (asked.out) await write(asked.out, `${JSON.stringify(report, null, 2)}\n`);
  if (asked.plot) await write(asked.plot, svg);
  await quit(0);
}

/** Runs in the page. */
const drawInPage = () => window.drawComparison(window.benchResult);

async function write(path, content) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  await print(`\nwritten to ${path}\n`);
}

/** What was measured on what. */
function heading({ measured, adapter, model, memory, options, loadMs }) {
  return [
    `${model.name} (${(model.parameters / 1e6).toFixed(1)} M parameters, ${(memory.weightBytes / 1e6).toFixed(1)} MB, KV ${options.kv}) on ${adapter.name}`,
    `copy ${measured.copyGBs.toFixed(1)} GB/s, FMA ${measured.fmaGflops.toFixed(0)} GFLOP/s, dispatch ${measured.dispatchMicros.toFixed(1)} µs, loaded in ${Math.round(loadMs)} ms`,
    ...(adapter.software ? ["software adapter: these figures are no speed"] : []),
    "",
  ];
}

function table(result) {
  const { measured, options } = result;
  const lines = [
    ...heading(result),
    columns(
      [
        "context",
        "prefill tok/s",
        "min",
        "max",
        "GFLOP/s",
        "of FMA",
        "first ms",
        "decode tok/s",
        "min",
        "max",
        "GB/s",
        "of copy",
        `ms to ${result.rows[0].promptTokens}`,
      ],
      result.rows.map(speedRow),
    ),
    `${options.runs === 1 ? "one run" : `median of ${options.runs} runs`} (decode ${options.decodeRuns}), ${options.newTokens} new tokens each; lengths in turn while decoding; shares of what was measured before each run`,
    ...result.kernels.flatMap((kernels) => [
      "",
      `kernels of ${kernels.phase} at ${kernels.tokens} tokens`,
      kernelColumns(kernels.rows, measured),
    ]),
  ];
  return `${[...lines, ...skippedLine(result)].join("\n")}\n`;
}

const skippedLine = ({ skipped, model }) =>
  skipped.length > 0 ? [`beyond the context of ${model.context}: ${skipped.join(", ")}`] : [];

function comparisonTable(result) {
  const { variants, options, model } = result;
  const head = ["context", "variant", "kv", "first ms", "min", "max", "prefill tok/s", "speed-up", "predicted"];
  const tail = ["of it", "decode ms/tok", "to dense", "prompt's KV"];
  const cells = variants[0].rows.flatMap((_, at) => variants.map((variant) => comparisonRow(variant, at)));
  const memory = variants.map((variant) => [
    ...nameCells(variant),
    variant.kvBytesPerToken,
    `${short(variant.kvToDense)} ×`,
    `${(variant.kvBytes / 1e6).toFixed(1)} MB`,
  ]);
  const lines = [
    ...heading(result),
    columns([...head, ...tail], cells),
    `${options.runs === 1 ? "one run" : `median of ${options.runs} runs`}, ${options.newTokens} new tokens each, ${result.interleaved ? "variants in turn run by run" : "not interleaved: the caches do not fit together"}`,
    "",
    columns(["variant", "kv", "KV bytes/token", "to dense", `cache of ${model.context} tokens`], memory),
    ...result.notes,
  ];
  return `${[...lines, ...skippedLine(result)].join("\n")}\n`;
}

const nameCells = ({ swiftkv, kv }) => [swiftkv ? `K ${swiftkv.layers} G ${swiftkv.group}` : "dense", kv];

function comparisonRow(variant, at) {
  const row = variant.rows[at];
  return [
    row.promptTokens,
    ...nameCells(variant),
    ...[row.firstTokenMs.median, row.firstTokenMs.min, row.firstTokenMs.max, row.prefill.median].map(short),
    ...[row.speedup, row.predictedSpeedup].map((value) => `${value.toFixed(2)} ×`),
    `${short(100 * row.ofPredicted)} %`,
    short(row.decodeMs.median),
    `${row.decodeToDense.toFixed(2)} ×`,
    `${(row.promptBytes / 1e6).toFixed(2)} MB`,
  ];
}

/** A share of a peak, with the peak; more than all of it says that the machine was unsteady. */
const shareOf = (share, peak) => `${share > 100 ? "unsteady," : `${short(share)} % of`} ${short(peak)}`;

const speedRow = ({ promptTokens, prefill, decode, decodeToFirst, firstTokenMs }) => [
  promptTokens,
  ...[prefill.median, prefill.min, prefill.max, prefill.gflops].map(short),
  shareOf(prefill.percentOfFma, prefill.fmaGflops),
  short(firstTokenMs),
  ...[decode.median, decode.min, decode.max, decode.gbs].map(short),
  shareOf(decode.percentOfCopy, decode.copyGBs),
  `${decodeToFirst.toFixed(2)} ×`,
];

function kernelColumns(rows, { copyGBs, fmaGflops }) {
  const cells = rows.map(({ label, kernel, calls, microseconds, bytes, flops }) => {
    const [gbs, gflops] = [bytes / microseconds / 1e3, flops / microseconds / 1e3];
    const share = 100 * Math.max(gbs / copyGBs, gflops / fmaGflops);
    const ofPeak = share > 100 ? "unsteady" : `${short(share)} %`;
    return [`${label} (${kernel})`, calls, short(microseconds / 1e3), short(gbs), short(gflops), ofPeak];
  });
  return columns(["step (kernel)", "calls", "ms", "GB/s", "GFLOP/s", "of peak"], cells);
}

const short = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

const machine = () => ({
  processor: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memoryBytes: totalmem(),
  system: `${platform()} ${release()}`,
});

function commit() {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return null;
  }
}

void command("longprompt bench", main);

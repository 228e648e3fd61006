// `npm run bench`: the benchmark page without a window; prints the table, writes the JSON.

import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, platform, release, totalmem } from "node:os";
import { dirname } from "node:path";
import { BENCH_HELP, parseBench, resolveModel } from "./arguments.mjs";
import { command, inPage, print, quit, showProgress } from "./command.mjs";

async function main(argv) {
  const asked = parseBench(argv);
  if (asked.help) return print(`${BENCH_HELP}\n`);
  const model = await resolveModel(asked.model);
  const browser = { headed: asked.headed, ...(asked.software ? { software: true } : {}) };
  const { result } = await inPage({ model, path: "/bench.html", browser }, (page, source) =>
    measure(page, { ...asked.options, source }),
  );
  const report = { ...result, machine: machine(), commit: commit() };
  if (model.local) report.model = { ...result.model, path: asked.model };
  await print(table(report));
  if (asked.out) {
    await mkdir(dirname(asked.out), { recursive: true });
    await writeFile(asked.out, `${JSON.stringify(report, null, 2)}\n`);
    await print(`\nwritten to ${asked.out}\n`);
  }
  await quit(0);
}

async function measure(page, options) {
  await page.waitForFunction(() => "runBench" in window);
  const phase = page.locator("#bench-phase");
  const timer = setInterval(() => {
    phase.textContent().then(showProgress, () => {});
  }, 500);
  try {
    return await page.evaluate(runInPage, options);
  } finally {
    clearInterval(timer);
    showProgress("");
  }
}

/** Runs in the page. Errors are handed over as text: on the way to Node they would be wrapped. */
const runInPage = (options) =>
  window.runBench(options).then(
    (result) => ({ result }),
    (error) => ({ error: String(error?.message ?? error) }),
  );

function table(result) {
  const { measured, adapter, model, memory, options } = result;
  const lines = [
    `${model.name} (${(model.parameters / 1e6).toFixed(1)} M parameters, ${(memory.weightBytes / 1e6).toFixed(1)} MB, KV ${options.kv}) on ${adapter.name}`,
    `copy ${measured.copyGBs.toFixed(1)} GB/s, FMA ${measured.fmaGflops.toFixed(0)} GFLOP/s, dispatch ${measured.dispatchMicros.toFixed(1)} µs, loaded in ${Math.round(result.loadMs)} ms`,
    ...(adapter.software ? ["software adapter: these figures are no speed"] : []),
    "",
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
      ],
      result.rows.map(speedRow),
    ),
    `median of ${options.runs} runs, ${options.newTokens} new tokens each`,
    ...result.kernels.flatMap((kernels) => [
      "",
      `kernels of ${kernels.phase} at ${kernels.tokens} tokens`,
      kernelColumns(kernels.rows, measured),
    ]),
  ];
  if (result.skipped.length > 0) lines.push(`beyond the context of ${model.context}: ${result.skipped.join(", ")}`);
  return `${lines.join("\n")}\n`;
}

const speedRow = ({ promptTokens, prefill, decode, firstTokenMs }) => [
  promptTokens,
  ...[prefill.median, prefill.min, prefill.max, prefill.gflops].map(short),
  `${short(prefill.percentOfFma)} %`,
  short(firstTokenMs),
  ...[decode.median, decode.min, decode.max, decode.gbs].map(short),
  `${short(decode.percentOfCopy)} %`,
];

function kernelColumns(rows, { copyGBs, fmaGflops }) {
  const cells = rows.map(({ label, kernel, calls, microseconds, bytes, flops }) => {
    const [gbs, gflops] = [bytes / microseconds / 1e3, flops / microseconds / 1e3];
    const share = 100 * Math.max(gbs / copyGBs, gflops / fmaGflops);
    return [`${label} (${kernel})`, calls, short(microseconds / 1e3), short(gbs), short(gflops), `${short(share)} %`];
  });
  return columns(["step (kernel)", "calls", "ms", "GB/s", "GFLOP/s", "of peak"], cells);
}

const short = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

/** Right-aligned columns, the first one left. */
function columns(head, rows) {
  const lines = [head, ...rows].map((cells) => cells.map(String));
  const widths = head.map((_, index) => Math.max(...lines.map((cells) => cells[index].length)));
  return lines
    .map((cells) =>
      cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index]))).join("  "),
    )
    .join("\n");
}

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

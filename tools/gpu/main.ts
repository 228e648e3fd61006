// The run on a GPU machine: `node main.mjs [--seconds N] [--tiny] [--out FOLDER] [--commit TEXT]`. Everything it needs lies beside it.
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, execPath, exit } from "node:process";
import { parseArgs } from "node:util";
import { KernelOutcomes } from "./outcomes.ts";
import { type Host, type Planned, runAll, TINY, wholePlan } from "./plan.ts";
import { fileNameOf, type Line, type Report, reportOf, summaryOf } from "./results.ts";

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    seconds: { type: "string", default: "460" },
    tiny: { type: "boolean", default: false },
    out: { type: "string", default: "docs/bench" },
    commit: { type: "string" },
  },
});
const seconds = Number(values.seconds);
if (!(seconds > 0)) {
  console.error(`longprompt gpu: --seconds; got ${values.seconds}, want a number above 0.`);
  exit(1);
}
const here = import.meta.dirname;
mkdirSync(values.out, { recursive: true });
const results = join(values.out, "gpu-run.jsonl");
rmSync(results, { force: true });

const lines = (): Line[] =>
  existsSync(results)
    ? readFileSync(results, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Line)
    : [];
const note = (line: Line): void => appendFileSync(results, `${JSON.stringify(line)}\n`);

/** Runs a program of the pack; `onLine` gets its output line by line. Null, or what went wrong. */
function program(args: readonly string[], limit: number, onLine: (line: string) => void): Promise<string | null> {
  const child = spawn(execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    for (const line of parts) onLine(line);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2000)));
  const timer = setTimeout(() => child.kill("SIGKILL"), limit * 1000);
  return new Promise((resolve) =>
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const last = said
        .trim()
        .split("\n")
        .filter((line) => !line.startsWith("Warning: "))
        .slice(-3)
        .join("; ");
      if (code === 0) resolve(null);
      else
        resolve(
          signal === "SIGKILL" ? `stopped after ${Math.round(limit)} s` : `ended with ${code ?? signal}; ${last}`,
        );
    }),
  );
}

/** Kernel tests, begun again behind a kernel with which the process ended. */
async function kernels(names: readonly string[], limit: number): Promise<string | null> {
  const until = Date.now() + limit * 1000;
  const listed = names.length > 0 ? [...names] : await listKernels();
  let problem: string | null = null;
  while (listed.length > 0) {
    const outcomes = new KernelOutcomes();
    const args = [join(here, "kernels.mjs"), "--small", ...listed];
    problem = await program(args, (until - Date.now()) / 1000, (line) => outcomes.read(line));
    for (const outcome of outcomes.found) note({ type: "kernel", ...outcome });
    const left = listed.filter((name) => !outcomes.found.some((outcome) => outcome.name === name));
    if (problem === null || left.length === 0) return null;
    if (Date.now() >= until) return `${left.length} kernels were left; ${problem}`;
    note({ type: "kernel", name: left[0]!, outcome: "failed", problems: [problem] });
    listed.splice(0, listed.length, ...left.slice(1));
  }
  return problem;
}

async function listKernels(): Promise<string[]> {
  const names: string[] = [];
  await program([join(here, "kernels.mjs"), "--list"], 30, (line) => names.push(line));
  return names;
}

function report(): Report {
  const made = reportOf(lines(), values.commit ?? null);
  writeFileSync(join(values.out, fileNameOf(made)), `${JSON.stringify(made, null, 2)}\n`);
  return made;
}

const host: Host = {
  now: () => Date.now() / 1000,
  async run({ name, slice }: Planned, limit) {
    console.log(`${name}, at most ${Math.round(limit)} s`);
    if (slice.kind === "kernels") return kernels(slice.names, limit);
    // A little less than the limit, so that it ends by itself.
    const until = String(Date.now() + 900 * limit);
    return program([join(here, "slice.mjs"), JSON.stringify(slice), results, until], limit, console.log);
  },
  async skipped(name, why) {
    console.log(`left out: ${name}; ${why}`);
    note({ type: "skipped", name, why });
  },
  async done() {
    report();
  },
};

await runAll(values.tiny ? TINY : wholePlan(() => report().peaks?.fmaGflops ?? null), seconds, host);
const made = report();
console.log(`\n${summaryOf(made)}\nwritten to ${join(values.out, fileNameOf(made))}`);
exit(made.machine ? 0 : 1);

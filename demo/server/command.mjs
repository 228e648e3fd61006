// What the commands share: a page in a browser, tables, texts, and cleaning up on exit.

import { readFile } from "node:fs/promises";
import { UsageError } from "./arguments/read.mjs";

const closers = [];
let quitting = false;

/** `close` runs before the command ends, whatever ends it; the one added last runs first. */
export const onQuit = (close) => void closers.push(close);

/** Closes everything and ends the process, after five seconds at the latest. */
export async function quit(code) {
  if (quitting) return;
  quitting = true;
  const limit = setTimeout(() => process.exit(code), 5000);
  await Promise.allSettled(closers.toReversed().map((close) => close()));
  clearTimeout(limit);
  process.exit(code);
}

/** Runs `main` with the arguments. An error is one line on standard error and exit code 1. */
export async function command(name, main) {
  process.stdout.on("error", () => void quit(0)); // the reader of the pipe has closed it
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => void quit(130));
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    if (quitting) return; // errors during shutdown are expected
    showProgress("");
    process.stderr.write(
      `${name}: ${String(error?.message ?? error)
        .split("\n")[0]
        .trim()}\n`,
    );
    await quit(1);
  }
}

/** What to do on the command line about an engine error, by its code. */
const HINTS = {
  "no-webgpu": "--software runs it on the CPU.",
  "no-adapter": "--software runs it on the CPU.",
  "adapter-refused": "--software runs it on the CPU.",
  "out-of-memory": "--context and --kv make the cache smaller.",
  "context-too-small": "--context N gives it more room.",
};

/** Serves the demo with the model, starts a browser, and hands `work` the opened page.
 * @param {{model: {local?: object, source?: string}, students?: readonly {local?: object, source?: string}[], path: string, browser: object}} setting path = of the page
 * @param {(page: import("playwright").Page, source: string, ...students: string[]) => Promise<{error?: {message: string, code: string | null}}>} work source, students = as the page names them
 * @throws {UsageError} the `error` that the page returned, or what broke the page; errors keep their code across the border to Node, not their class */
export async function inPage({ model, students = [], path, browser: wanted }, work) {
  const [{ serve }, { launch }, { contextWithFacts, keepFacts }] = await Promise.all([
    import("./server.mjs"),
    import("./browser.mjs"),
    import("./facts.mjs"),
  ]);
  const mounted = students.flatMap(({ local }) => local ?? []);
  const server = await serve({ local: model.local, students: mounted });
  onQuit(server.close);
  const { browser } = await launch(wanted);
  onQuit(() => browser.close());
  const context = await contextWithFacts(browser, server.url);
  const page = await context.newPage();
  const broken = new Promise((_, reject) => {
    page.on("pageerror", (error) => reject(new UsageError(error.message)));
    page.on("crash", () => reject(new UsageError("the browser page crashed, probably out of memory")));
    browser.on("disconnected", () => reject(new UsageError("the browser ended unexpectedly")));
  });
  const run = async () => {
    await page.goto(server.url + path);
    const addresses = server.students.values();
    const named = students.map(({ source }) => source ?? addresses.next().value);
    return work(page, server.source ?? model.source, ...named);
  };
  const answer = await Promise.race([run(), broken]);
  await keepFacts(context);
  if (!answer.error) return answer;
  const { message, code } = answer.error;
  throw new UsageError([server.named(message), HINTS[code] ?? ""].join(" ").trim());
}

/** A text file. Throws UsageError for what is none. */
export async function readText(path) {
  const bytes = await readFile(path).catch(({ code }) => {
    throw new UsageError(`--text ${path} cannot be read: ${code}`);
  });
  if (bytes.length === 0) throw new UsageError(`--text ${path} is empty. Give a file with text.`);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!text.includes("\0")) return text;
  } catch {
    // said below
  }
  throw new UsageError(`--text ${path} is no UTF-8 text. Give a plain text file.`);
}

let progressShown = false;

/** A line on the terminal that the next one replaces; nothing where standard error is a file or a pipe. */
export function showProgress(line) {
  if (!process.stderr.isTTY || (!line && !progressShown)) return;
  process.stderr.write(`\r\u001b[K${line}`);
  progressShown = line !== "";
}

/** Writes to standard output and waits until it has been written: process.exit would truncate a pipe. */
export const print = (text) => new Promise((resolve) => void process.stdout.write(text, () => resolve()));

/** Calls a function of the benchmark page by its name, and shows its progress.
 * @returns {Promise<{result: object} | {error: {message: string, code: string | null}}>} */
export async function pollPage(page, name, options) {
  await page.waitForFunction((wanted) => wanted in window, name);
  const phase = page.locator("#bench-phase");
  const timer = setInterval(() => {
    phase.textContent().then(showProgress, () => {});
  }, 500);
  try {
    return await page.evaluate(runInPage, { name, options });
  } finally {
    clearInterval(timer);
    showProgress("");
  }
}

/** Runs in the page. Errors are returned as values, because exceptions are wrapped on the way to Node. */
const runInPage = ({ name, options }) =>
  window[name](options).then(
    (result) => ({ result }),
    (error) => ({ error: { message: String(error?.message ?? error), code: error?.code ?? null } }),
  );

/** Right-aligned columns, the first one left. */
export function columns(head, rows) {
  const lines = [head, ...rows].map((cells) => cells.map(String));
  const widths = head.map((_, index) => Math.max(...lines.map((cells) => cells[index].length)));
  return lines
    .map((cells) =>
      cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index]))).join("  "),
    )
    .join("\n");
}

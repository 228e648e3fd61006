// `npm run quality`: what caches cost in quality, measured by the benchmark page without a window.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { resolveModel, resolveStudent, resolveTrained } from "./arguments/models.mjs";
import { QUALITY_HELP, parseQuality } from "./arguments/quality.mjs";
import { UsageError } from "./arguments/read.mjs";
import { columns, command, inPage, pollPage, print, quit } from "./command.mjs";

async function main(argv) {
  const asked = parseQuality(argv);
  if (asked.help) return print(`${QUALITY_HELP}\n`);
  const texts = await Promise.all(asked.texts.map((path) => readText("text", path)));
  const chats = await Promise.all(asked.chats.map((path) => readText("chat", path)));
  const calibrate = await Promise.all(asked.calibrate.map((path) => readText("calibrate", path)));
  const model = await resolveModel(asked.model);
  const names = studentsOf(asked.options.rows ?? "");
  const files = await Promise.all([...names.map(resolveStudent), ...(asked.trained ?? []).map(resolveTrained)]);
  const setting = { model, students: files, path: "/bench.html", browser: asked.software ? { software: true } : {} };
  const { result, drawn } = await inPage(setting, async (page, source, ...addresses) => {
    if (asked.json) await page.exposeFunction("emitRow", (row) => print(`${JSON.stringify(row)}\n`));
    const named = Object.fromEntries(names.map((name, i) => [name, addresses[i]]));
    const given = { texts, chats, calibrate };
    const trained = addresses.slice(names.length);
    const answer = await pollPage(page, "runQuality", { ...asked.options, ...given, students: named, trained, source });
    return answer.error ? answer : { ...answer, drawn: await page.evaluate(drawInPage) };
  });
  if (!asked.json) await print(tables(result, drawn));
  if (asked.plot) await writePlot(asked.plot, drawn.svg);
  await quit(0);
}

/** What rows `student=NAME` name: files here, which the page asks this command for. */
const studentsOf = (rows) => [
  ...new Set([...rows.matchAll(/(?:^|[;+])\s*student\s*=\s*([^;+]+)/g)].map(([, name]) => name.trim())),
];

/** Runs in the page. */
const drawInPage = () => window.drawQuality(window.benchResult);

async function readText(option, path) {
  try {
    return { name: path, text: await readFile(path, "utf8") };
  } catch (error) {
    const what = error.code === "ENOENT" ? "no such file" : error.code === "EISDIR" ? "a directory" : error.code;
    throw new UsageError(`${option}: ${path}; got ${what}, want a text file. Correct the path.`);
  }
}

function tables({ model, adapter }, { tables: all, note }) {
  const heading = `${model.name} (${(model.parameters / 1e6).toFixed(1)} M parameters) on ${adapter.name}`;
  return `${[heading, ...all.map(({ head, rows }) => columns(head, rows)), note].join("\n\n")}\n`;
}

async function writePlot(path, svg) {
  if (svg === null)
    throw new UsageError("plot: got neither KL nor needles, want the measure ce or needle. Add one to --measures.");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, svg);
  process.stderr.write(`written to ${path}\n`);
}

void command("longprompt quality", main);

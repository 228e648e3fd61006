// `npm run convert`: fits a SwiftKV student to texts in a headless browser and writes it as a file.

import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { resolveModel, STUDENT_FILE } from "./arguments/models.mjs";
import { UsageError } from "./arguments/read.mjs";
import { CONVERT_HELP, parseConvert } from "./arguments/students.mjs";
import { command, inPage, onQuit, print, quit, readText, showProgress } from "./command.mjs";

/** Beside the file: the same facts for people. */
const CARD = "student.json";

async function main(argv) {
  const options = parseConvert(argv);
  if (options.help) return print(`${CONVERT_HELP}\n`);
  const texts = await Promise.all(options.texts.map(readText));
  const model = await resolveModel(options.model);
  await mkdir(options.out, { recursive: true }).catch(({ message }) => {
    throw new UsageError(`--out ${options.out} cannot be made: ${message}`);
  });
  const { result } = await convert(options, texts, model);
  const card = { model: options.model, texts: options.texts, ...result };
  await writeFile(join(options.out, CARD), `${JSON.stringify(card, null, 2)}\n`);
  await print(options.json ? `${JSON.stringify({ ...card, out: options.out })}\n` : report(options, result));
  await quit(0);
}

/** Loads, calibrates, and receives files piece by piece. Each gets its name only once it is whole. */
async function convert({ shape, load, data, calibrate, full, software, json, out }, texts, model) {
  const unfinished = join(out, `.unfinished.${process.pid}`);
  onQuit(() => rm(unfinished, { force: true }));
  const setting = { model, path: "/cli/", browser: software ? { software: true } : {} };
  const answer = await inPage(setting, async (page, source) => {
    await page.exposeFunction("emitBytes", (base64) =>
      writeFile(unfinished, Buffer.from(base64, "base64"), { flag: "a" }),
    );
    await page.exposeFunction("emitFile", (name) => rename(unfinished, join(out, name)));
    await page.exposeFunction("emitProgress", (line) => showProgress(json ? "" : line));
    await page.waitForFunction(() => "runConvert" in window);
    const asked = { source, shape, load, data: { ...data, texts }, calibrate, full };
    return page.evaluate((asked) => window.runConvert(asked), asked);
  });
  showProgress("");
  return answer;
}

function report({ out, full }, { swiftkv, layers, calibration, bytes, seconds, adapter }) {
  const { tokens, r2 } = calibration;
  return [
    `${full ? out : join(out, STUDENT_FILE)}: ${(bytes / 1e6).toFixed(1)} MB, K ${swiftkv.layers} of ${layers} layers, G ${swiftkv.group}`,
    `calibrated on ${tokens} tokens in ${Math.round(seconds)} s on ${adapter}`,
    `share of keys and values explained (R²) in layers ${swiftkv.layers} to ${layers - 1}: ${r2.map((value) => value.toFixed(2)).join(" ")}`,
    `use it: npm start -- --${full ? "model" : "student"} ${out} --prompt "…"`,
    "",
  ].join("\n");
}

void command("longprompt convert", main);

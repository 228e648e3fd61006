// `npm run distil`: trains a SwiftKV student on texts in a headless browser and writes it as a file, with checkpoints on the
// way from which it goes on after a stop.

import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { resolveModel, resolveStudent, STUDENT_FILE } from "./arguments/models.mjs";
import { UsageError } from "./arguments/read.mjs";
import { DISTIL_HELP, parseDistil } from "./arguments/students.mjs";
import { command, inPage, onQuit, print, quit, readText, showProgress } from "./command.mjs";

const FILES = { student: STUDENT_FILE, checkpoint: "checkpoint.safetensors" };
const CARD = "student.json";

async function main(argv) {
  const options = parseDistil(argv);
  if (options.help) return print(`${DISTIL_HELP}\n`);
  const texts = await Promise.all(options.texts.map(readText));
  const model = await resolveModel(options.model);
  const begin = await beginning(options);
  await mkdir(options.out, { recursive: true }).catch(({ message }) => {
    throw new UsageError(`--out ${options.out} cannot be made: ${message}`);
  });
  const { result } = await distil(options, texts, model, begin);
  const card = { model: options.model, texts: options.texts, ...result };
  await writeFile(join(options.out, CARD), `${JSON.stringify(card, null, 2)}\n`);
  await print(options.json ? `${JSON.stringify({ ...card, out: options.out })}\n` : report(options, result));
  await quit(0);
}

/** The file that the page is to begin with: a student, a checkpoint, or none. */
async function beginning({ start, resume, out }) {
  if (start !== undefined) return resolveStudent(start);
  if (!resume) return undefined;
  const directory = resolve(out);
  if (existsSync(join(directory, FILES.checkpoint))) return { local: { directory, file: FILES.checkpoint } };
  throw new UsageError(`--resume: got no ${FILES.checkpoint} in ${out}, want one. Leave --resume out to begin.`);
}

/** Loads, trains, and receives files piece by piece. Each gets its name only once it is whole. */
async function distil({ shape, load, data, distil: options, resume, software, json, out }, texts, model, begin) {
  const unfinished = join(out, `.unfinished.${process.pid}`);
  onQuit(() => rm(unfinished, { force: true }));
  const setting = { model, students: begin ? [begin] : [], path: "/cli/", browser: software ? { software: true } : {} };
  const answer = await inPage(setting, async (page, source, file) => {
    await page.exposeFunction("emitBytes", (base64) =>
      writeFile(unfinished, Buffer.from(base64, "base64"), { flag: "a" }),
    );
    await page.exposeFunction("emitFile", (name) => rename(unfinished, join(out, name)));
    await page.exposeFunction("emitProgress", (line) => showProgress(json ? "" : line));
    await page.waitForFunction(() => "runDistil" in window);
    const begun = { [resume ? "resume" : "student"]: file };
    const asked = { source, shape, load, data: { ...data, texts }, distil: options, ...begun };
    return page.evaluate((asked) => window.runDistil(asked), asked);
  });
  showProgress("");
  return answer;
}

function report({ out }, { swiftkv, layers, distillation, bytes, seconds, losses, adapter }) {
  const { steps, tokens, firstLoss, lastLoss } = distillation;
  return [
    `${join(out, FILES.student)}: ${(bytes / 1e6).toFixed(1)} MB, K ${swiftkv.layers} of ${layers} layers, G ${swiftkv.group}`,
    `trained for ${steps} steps on ${tokens} tokens (${losses.length} of them now, in ${Math.round(seconds)} s on ${adapter})`,
    `loss ${firstLoss.toFixed(3)} in the first steps, ${lastLoss.toFixed(3)} in the last`,
    `use it: npm start -- --student ${out} --prompt "…"`,
    "",
  ].join("\n");
}

void command("longprompt distil", main);

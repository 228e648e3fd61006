// `npm start`: the chat page, or with --prompt one reply on the command line.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fstatSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { StringDecoder } from "node:string_decoder";
import { resolveModel, resolveStudent, resolveTrained } from "./arguments/models.mjs";
import { UsageError } from "./arguments/read.mjs";
import { START_HELP, parseStart } from "./arguments/start.mjs";
import { command, inPage, onQuit, print, quit, showProgress } from "./command.mjs";

async function main(argv) {
  const options = parseStart(argv, await pipedText(argv));
  if (options.help) return print(`${START_HELP}\n`);
  if (options.page) return page(options);
  const model = await resolveModel(options.model);
  const students = options.student === undefined ? [] : [await resolveStudent(options.student)];
  const trained = await Promise.all((options.trained ?? []).map(resolveTrained));
  const text = options.prompt === "-" ? await standardInput() : options.prompt;
  if (text?.trim() === "") throw new UsageError("the prompt is empty, want a text. Give one after --prompt.");
  const prompt = promptOf({ ...options, prompt: text, ...(await filesOf(options)) });
  await reply({ ...options, prompt }, model, { students, trained });
  await quit(0);
}

/** Options that name JSON files. */
const JSON_FILES = ["messages", "tools", "documents"];

async function filesOf(options) {
  const named = JSON_FILES.filter((name) => options[name] !== undefined);
  return Object.fromEntries(await Promise.all(named.map(async (name) => [name, await readJson(name, options[name])])));
}

async function readJson(option, path) {
  const text = await readFile(path, "utf8").catch(({ code }) => {
    throw new UsageError(`--${option} ${path} cannot be read: ${code}`);
  });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--${option} ${path} is no JSON: ${error.message}`);
  }
}

async function page({ port = 5173, open }) {
  const { serve } = await import("./server.mjs");
  const { url, close } = await serve({ port, watch: true });
  onQuit(close);
  await print(`\n  longprompt is ready: ${url}\n  benchmark:           ${url}/bench.html\n  Ctrl-C ends it.\n\n`);
  if (open && hasDisplay()) openBrowser(url);
}

/** Loads the model in a headless browser, streams the reply. */
async function reply(options, model, { students, trained }) {
  const setting = {
    model,
    students: [...students, ...trained],
    path: "/cli/",
    browser: options.software ? { software: true } : {},
  };
  const { result, figures } = await inPage(setting, async (browserPage, source, ...others) => {
    await browserPage.exposeFunction("emitText", (text) => void (options.json || process.stdout.write(text)));
    await browserPage.exposeFunction("emitProgress", (line) => showProgress(options.json ? "" : line));
    await browserPage.waitForFunction(() => "runPrompt" in window);
    return browserPage.evaluate((asked) => window.runPrompt(asked), requestOf(options, source, others));
  });
  showProgress("");
  await print(options.json ? `${JSON.stringify(result)}\n` : "\n");
  process.stderr.write(`${figures}\n`);
}

/** `others`: the addresses of the student, if there is one, and of files of weights. */
function requestOf({ student, prompt, load, generate }, source, others) {
  const trained = others.slice(student === undefined ? 0 : 1);
  const own = { ...(student !== undefined && { student: others[0] }), ...(trained.length > 0 && { trained }) };
  return { source, prompt, load: { ...load, ...own }, generate };
}

function promptOf({ prompt, messages, tokens, system, raw, variables, tools, documents }) {
  if (tokens) return { tokens };
  if (raw) return { text: prompt };
  const instruction = system === undefined ? [] : [{ role: "system", content: system }];
  return { messages: messages ?? [...instruction, { role: "user", content: prompt }], variables, tools, documents };
}

/** Milliseconds to wait for a first piece of text where nothing else says that there is one. */
const PIPE_PATIENCE = 300;

/**
 * Text that is piped in where no option names a prompt, or undefined. A pipe may be open and never written to, as under a
 * service: then the page is wanted.
 */
async function pipedText(argv) {
  const source = fstatSync(0, { throwIfNoEntry: false });
  if (!source?.isFIFO() && !source?.isFile()) return undefined;
  if (argv.some((word) => /^--(prompt|messages|tokens|help|port|no-open)\b|^-h$/.test(word))) return undefined;
  const arrived = await Promise.race([once(process.stdin, "readable"), sleep(PIPE_PATIENCE, null)]);
  if (arrived === null) process.stdin.destroy();
  const text = arrived === null ? "" : await standardInput();
  return text.trim() === "" ? undefined : text;
}

async function standardInput() {
  const decoder = new StringDecoder("utf8");
  let text = "";
  for await (const piece of process.stdin) text += decoder.write(piece);
  return text + decoder.end();
}

function hasDisplay() {
  if (process.env.CI) return false;
  if (process.platform === "darwin" || process.platform === "win32") return true;
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}

function openBrowser(url) {
  const openers = { darwin: ["open", url], win32: ["cmd", "/c", "start", "", url] };
  const [program, ...args] = openers[process.platform] ?? ["xdg-open", url];
  spawn(program, args, { stdio: "ignore", detached: true })
    .on("error", () => {}) // the URL has been printed, so failing to open it does not matter
    .unref();
}

void command("longprompt", main);

// `npm start`: the chat page, or with --prompt one reply on the command line.

import { spawn } from "node:child_process";
import { StringDecoder } from "node:string_decoder";
import { resolveModel, resolveStudent } from "./arguments/models.mjs";
import { START_HELP, parseStart } from "./arguments/start.mjs";
import { command, inPage, onQuit, print, quit, showProgress } from "./command.mjs";

async function main(argv) {
  const options = parseStart(argv);
  if (options.help) return print(`${START_HELP}\n`);
  if (options.page) return page(options);
  const model = await resolveModel(options.model);
  const student = options.student === undefined ? undefined : await resolveStudent(options.student);
  const prompt = options.prompt === "-" ? await standardInput() : options.prompt;
  await reply({ ...options, prompt }, model, student);
  await quit(0);
}

async function page({ port = 5173, open }) {
  const { serve } = await import("./server.mjs");
  const { url, close } = await serve({ port, watch: true });
  onQuit(close);
  await print(`\n  longprompt is ready: ${url}\n  benchmark:           ${url}/bench.html\n  Ctrl-C ends it.\n\n`);
  if (open && hasDisplay()) openBrowser(url);
}

/** Loads the model in a headless browser, streams the reply. */
async function reply(options, model, student) {
  const setting = {
    model,
    students: student ? [student] : [],
    path: "/cli/",
    browser: options.software ? { software: true } : {},
  };
  const { result, figures } = await inPage(setting, async (browserPage, source, studentSource) => {
    await browserPage.exposeFunction("emitText", (text) => void (options.json || process.stdout.write(text)));
    await browserPage.exposeFunction("emitProgress", (line) => showProgress(options.json ? "" : line));
    await browserPage.waitForFunction(() => "runPrompt" in window);
    return browserPage.evaluate((asked) => window.runPrompt(asked), requestOf(options, source, studentSource));
  });
  showProgress("");
  await print(options.json ? `${JSON.stringify(result)}\n` : "\n");
  process.stderr.write(`${figures}\n`);
}

const requestOf = (options, source, student) => ({
  source,
  prompt: promptOf(options),
  load: student === undefined ? options.load : { ...options.load, student },
  generate: options.generate,
});

function promptOf({ prompt, tokens, system, raw }) {
  if (tokens) return { tokens };
  if (raw) return { text: prompt };
  const instruction = system === undefined ? [] : [{ role: "system", content: system }];
  return { messages: [...instruction, { role: "user", content: prompt }] };
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

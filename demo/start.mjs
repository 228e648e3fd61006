// `npm start`: the chat page, or with --prompt one reply on the command line.

import { spawn } from "node:child_process";
import { StringDecoder } from "node:string_decoder";
import { START_HELP, UsageError, parseStart, resolveModel } from "./arguments.mjs";

const closers = [];

async function main(argv) {
  const options = parseStart(argv);
  if (options.help) return void process.stdout.write(`${START_HELP}\n`);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => void quit(130));
  if (options.prompt === undefined) return page(options);
  const model = await resolveModel(options.model);
  const prompt = options.prompt === "-" ? await standardInput() : options.prompt;
  await reply({ ...options, prompt }, model);
  await quit(0);
}

async function page(options) {
  const { serve } = await import("./server.mjs");
  const server = await serve({ port: options.port ?? 5173, watch: true });
  closers.push(server.close);
  process.stdout.write(`\n  longprompt is ready: ${server.url}\n  benchmark:           ${server.url}/bench.html\n  Ctrl-C ends it.\n\n`);
  if (options.open && hasDisplay()) openBrowser(server.url);
}

/** Loads the model in a headless browser, streams the reply. */
async function reply(options, model) {
  const [{ serve }, { launch }] = await Promise.all([import("./server.mjs"), import("./browser.mjs")]);
  const server = await serve(model.local ? { local: model.local } : {});
  closers.push(server.close);
  const { browser } = await launch(options.software ? { software: true } : {});
  closers.push(() => browser.close());
  const request = {
    source: server.source ?? model.source,
    prompt: options.raw ? { text: options.prompt } : { messages: messages(options) },
    load: options.load,
    generate: options.generate,
  };
  const answer = await drive(browser, `${server.url}/cli.html`, request, options.json);
  if (answer.error) throw new UsageError(server.named(answer.error));
  if (options.json) process.stdout.write(`${JSON.stringify(answer.result)}\n`);
  else process.stdout.write("\n");
  process.stderr.write(`${answer.figures}\n`);
}

const messages = ({ system, prompt }) => [
  ...(system === undefined ? [] : [{ role: "system", content: system }]),
  { role: "user", content: prompt },
];

async function drive(browser, url, request, quiet) {
  const page = await browser.newPage();
  const broken = new Promise((_, reject) => {
    page.on("pageerror", (error) => reject(new UsageError(error.message)));
    page.on("crash", () => reject(new UsageError("the browser page crashed, probably out of memory")));
    browser.on("disconnected", () => reject(new UsageError("the browser ended unexpectedly")));
  });
  await page.exposeFunction("emitText", (text) => void (quiet || process.stdout.write(text)));
  await page.exposeFunction("emitProgress", (line) => void showProgress(quiet ? "" : line));
  const run = async () => {
    await page.goto(url);
    await page.waitForFunction(() => "runPrompt" in window);
    return page.evaluate((asked) => window.runPrompt(asked), request);
  };
  const answer = await Promise.race([run(), broken]);
  showProgress("");
  return answer;
}

let progressShown = false;

/** One line on the terminal that the next one replaces; nothing at all where standard error is a file or a pipe. */
function showProgress(line) {
  if (!process.stderr.isTTY || (!line && !progressShown)) return;
  process.stderr.write(`\r\u001b[K${line}`);
  progressShown = line !== "";
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
  const [command, ...args] =
    process.platform === "darwin" ? ["open", url] : process.platform === "win32" ? ["cmd", "/c", "start", "", url] : ["xdg-open", url];
  spawn(command, args, { stdio: "ignore", detached: true })
    .on("error", () => {}) // the URL is on the screen; opening it is a courtesy
    .unref();
}

let quitting = false;

async function quit(code) {
  if (quitting) return;
  quitting = true;
  const limit = setTimeout(() => process.exit(code), 5000);
  await Promise.allSettled(closers.toReversed().map((close) => close()));
  clearTimeout(limit);
  process.exit(code);
}

process.stdout.on("error", () => void quit(0)); // the reader of a pipe has seen enough

main(process.argv.slice(2)).catch(async (error) => {
  if (quitting) return; // what fails while everything is being closed is no news
  showProgress("");
  process.stderr.write(`longprompt: ${String(error?.message ?? error).split("\n")[0].trim()}\n`);
  await quit(1);
});

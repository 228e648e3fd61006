// npm run peers: this engine beside transformers.js on WebGPU, with the same random weights in a published shape, on the same adapter,
// in turn. The packages are installed outside the repository.
import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "vite";
import { launch } from "../../demo/server/browser.mjs";
import { columns, command, onQuit, print, quit } from "../../demo/server/command.mjs";
import { smallShaders } from "../../shaders/plugin.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PACKAGE = "@huggingface/transformers";

const HELP = `npm run peers [-- options]

  --shape NAME        smollm2-135m (default), llama-3.2-1b, llama-3.2-3b
  --lengths 128,512   tokens of the prompts
  --runs N            of each length (default 1), in turn; medians are printed
  --peer-tokens N     tokens that transformers.js writes after each prompt (default 4; 32 are written here)
  --folder DIR        where its packages and the model in ONNX are put (default: in the temporary folder); they are used again
  --version V         of transformers.js (default: latest)
  --software          on SwiftShader, also where there is a GPU
  --out FILE.json     write the figures there`;

const OPTIONS = {
  shape: { type: "string", default: "smollm2-135m" },
  lengths: { type: "string", default: "128,512" },
  runs: { type: "string", default: "1" },
  "peer-tokens": { type: "string", default: "4" },
  folder: { type: "string", default: join(tmpdir(), "longprompt-peers") },
  version: { type: "string", default: "latest" },
  software: { type: "boolean" },
  out: { type: "string" },
  help: { type: "boolean" },
};

const MIME = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

function whole(values, name) {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= 1) return number;
  throw new Error(`--${name}: got ${values[name]}, want a whole number above 0.`);
}

/** Newest packages, the model in ONNX, and the page. */
async function prepare({ folder, shape, version }) {
  mkdirSync(folder, { recursive: true });
  const manifest = join(folder, "package.json");
  if (!existsSync(manifest)) writeFileSync(manifest, '{ "private": true }\n');
  await print("transformers.js from npm …\n");
  const npm = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", `${PACKAGE}@${version}`];
  execFileSync("npm", npm, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  const model = join(folder, "models", shape, "random");
  if (!existsSync(join(model, "onnx/model_q4.onnx"))) {
    await print("the model in ONNX …\n");
    const writer = ["test/native.mjs", "--entry", "tools/peers/write.ts", shape, model];
    execFileSync(execPath, writer, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  }
  await build({
    root: ROOT,
    configFile: false,
    logLevel: "error",
    publicDir: false,
    plugins: [smallShaders()],
    build: {
      lib: { entry: "tools/peers/page.ts", formats: ["es"], fileName: "page" },
      outDir: join(folder, "page"),
      emptyOutDir: true,
    },
  });
}

/** Files by the first part of their path. Isolated, so that WebAssembly may use threads. */
function serve({ folder, shape }) {
  const modules = join(folder, "node_modules");
  const roots = {
    lib: join(modules, PACKAGE, "dist"),
    ort: join(modules, "onnxruntime-web/dist"),
    models: join(folder, "models", shape),
    page: join(folder, "page"),
  };
  const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
  const server = createServer((request, response) => {
    const [, first, ...rest] = normalize(new URL(request.url, "http://localhost").pathname).split("/");
    const file = roots[first] && join(roots[first], ...rest);
    if (first === "") return response.writeHead(200, { ...headers, "Content-Type": "text/html" }).end(PAGE);
    const found = file && statSync(file, { throwIfNoEntry: false });
    if (!found?.isFile()) return response.writeHead(404, headers).end();
    const type = MIME[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { ...headers, "Content-Type": type, "Content-Length": found.size });
    if (request.method === "HEAD") return response.end();
    createReadStream(file).pipe(response);
  });
  onQuit(() => server.close());
  return new Promise((resolve) => server.listen(0, "localhost", () => resolve(server.address().port)));
}

const PAGE = '<!doctype html><title>peers</title><script type="module" src="/page/page.js"></script>';

async function measure(port, options, software) {
  const { browser } = await launch(software ? { software } : {});
  onQuit(() => browser.close());
  const page = await browser.newPage();
  page.on("pageerror", (error) => void print(`${error.message}\n`));
  await page.exposeFunction("report", (text) => print(`${text}\n`));
  await page.goto(`http://localhost:${port}/`);
  await page.waitForFunction(() => "comparePeers" in window);
  return page.evaluate((asked) => window.comparePeers(asked, window.report), options);
}

const figure = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

function table({ adapter, library, rows, tokens }) {
  const head = ["prompt", "", "reads, tokens/s", "writes, tokens/s", "reads, times the peer", "writes, times the peer"];
  const cells = rows.flatMap((row) =>
    [
      ["dense", row.dense],
      ["SwiftKV, half of the layers", row.student],
      [library, row.peer],
    ].map(([name, times]) => [
      row.tokens,
      name,
      figure((1000 * row.tokens) / times.prefillMs),
      figure(1000 / times.tokenMs),
      figure(row.peer.prefillMs / times.prefillMs),
      figure(row.peer.tokenMs / times.tokenMs),
    ]),
  );
  const same =
    String(tokens.own) === String(tokens.peer) ? "the same tokens" : `other tokens: ${tokens.own} and ${tokens.peer}`;
  return `\n${adapter}; after a short prompt both write ${same}\n${columns(head, cells)}\n`;
}

async function main(argv) {
  const { values } = parseArgs({ args: argv, options: OPTIONS });
  if (values.help) return print(`${HELP}\n`);
  const lengths = values.lengths.split(",").map((lengths) => whole({ lengths }, "lengths"));
  const [runs, peerTokens] = [whole(values, "runs"), whole(values, "peer-tokens")];
  await prepare(values);
  const port = await serve(values);
  const options = { shape: values.shape, lengths, runs, ownTokens: 32, peerTokens };
  const result = await measure(port, options, values.software);
  await print(table(result));
  if (values.out) writeFileSync(values.out, `${JSON.stringify(result, null, 2)}\n`);
  await quit(0);
}

void command("longprompt peers", main);

// Packs the package, installs it as others would, and uses it. Needs npm's registry and a browser; minutes.
//   node tools/package/try.mjs [types] [node] [vite] [webpack] [page] [bin]     all of them by default
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { launch } from "../../demo/server/browser.mjs";
import { ROOT } from "./build.mjs";

/** Version 6 is the first whose DOM library has WebGPU. */
const TYPESCRIPTS = { 5.4: ["@webgpu/types"], 5.9: ["@webgpu/types"], 6: [], 7: [] };
const MODEL = join(ROOT, "demo/models/fable");

const folder = mkdtempSync(join(tmpdir(), "longprompt-try-"));
const run = (program, args, cwd, options = {}) =>
  execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });

function pack() {
  const [{ filename }] = JSON.parse(
    run("npm", ["pack", "--json", "--pack-destination", folder], ROOT).replace(/^[^[]*/, ""),
  );
  return join(folder, filename);
}

/** A project with the package and others installed. */
function project(name, tarball, packages = []) {
  const place = join(folder, name);
  mkdirSync(place);
  writeFileSync(join(place, "package.json"), JSON.stringify({ name, private: true, type: "module" }));
  run("npm", ["install", "--no-audit", "--no-fund", tarball, ...packages], place);
  return place;
}

const USE = `import { load, InputError, type Engine, type LoadOptions } from "longprompt";
import { parseRecipe, type Recipe } from "longprompt/recipes";
const options: LoadOptions = { kv: "int8", onProgress: ({ share }) => void share?.toFixed() };
export async function use(device: GPUDevice): Promise<string> {
  const engine: Engine = await load("org/name", { ...options, device });
  const recipe: Recipe = parseRecipe("kivi:bits=4");
  const { kvBytes } = recipe.price(engine.model.kvShape, 4096);
  if (kvBytes < 0) throw new InputError("never");
  // @ts-expect-error: a prompt is an object
  engine.session().generate("text");
  const reply = engine.session().generate({ text: "a" }, { maxTokens: 2 });
  for await (const { text, id } of reply) text.at(id);
  return (await reply.result).text;
}
`;

/** The declarations under several versions of the compiler, libraries checked too. */
function types(tarball) {
  for (const [version, gpu] of Object.entries(TYPESCRIPTS)) {
    const place = project(`types-${version}`, tarball, [`typescript@${version}`, ...gpu]);
    writeFileSync(join(place, "use.ts"), USE);
    for (const [module, moduleResolution] of [
      ["esnext", "bundler"],
      ["nodenext", "nodenext"],
    ]) {
      const lib = ["es2023", "dom", "dom.iterable", "dom.asynciterable"];
      const strict = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false };
      const compilerOptions = { ...strict, target: "es2022", lib, types: gpu, module, moduleResolution };
      writeFileSync(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["use.ts"] }));
      run(process.execPath, ["node_modules/typescript/bin/tsc"], place, { stdio: "inherit" });
    }
    console.log(`ok types: TypeScript ${version}`);
  }
}

/** In Node: refused without WebGPU, and running on Dawn's. */
function node(tarball) {
  const place = project("node", tarball, ["webgpu"]);
  writeFileSync(
    join(place, "use.mjs"),
    `import { readFileSync, readdirSync } from "node:fs";
import { load, UnsupportedError } from "longprompt";
const refused = await load("./model/").catch((error) => error);
if (!(refused instanceof UnsupportedError) || refused.code !== "no-webgpu") throw refused;
const { create, globals } = await import("webgpu");
Object.assign(globalThis, globals);
const gpu = create([]);
Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
const files = readdirSync(process.argv[2]).filter((name) => /\\.(json|safetensors)$/.test(name) && name !== "golden.json");
const engine = await load(files.map((name) => new File([readFileSync(process.argv[2] + "/" + name)], name)));
const reply = engine.session().generate({ text: "Once upon a time" }, { maxTokens: 8, temperature: 0 });
console.log((await reply.result).text);
process.exit(0);
`,
  );
  const chromium = ["/usr/lib/chromium", "/opt/google/chrome"].find((each) =>
    existsSync(`${each}/vk_swiftshader_icd.json`),
  );
  const software = { LD_LIBRARY_PATH: chromium, VK_ICD_FILENAMES: `${chromium}/vk_swiftshader_icd.json` };
  const env = {
    ...process.env,
    ...(chromium && !existsSync("/dev/dri") && !existsSync("/dev/nvidia0") ? software : {}),
  };
  console.log(`ok node: ${run(process.execPath, ["use.mjs", MODEL], place, { env }).trim()}`);
}

/** Says the same on the page's thread and in a worker. */
const SCRIPT = (from) => `import { load } from "${from}";
async function say(options) {
  const engine = await load("/model/", options);
  const messages = [{ role: "user", content: "Hello" }];
  const { text } = await engine.session().generate({ messages }, { maxTokens: 8, temperature: 0 }).result;
  engine.dispose();
  return text;
}
const [here, there] = [await say({}), await say({ worker: true })];
if (here !== there) throw new Error(here + " is not " + there);
document.body.append(here);
document.title = "done";
`;

/** A grammar is kept in a worker that the bundler makes: it finds the package of grammars. */
const GRAMMAR_SCRIPT = `import { load } from "longprompt";
import LongpromptWorker from "longprompt/worker?worker";
const engine = await load("/model/", { worker: () => new LongpromptWorker() });
const constraint = await engine.constraint({ grammar: 'root ::= "yes" | "no"' });
const { text } = await engine.session().generate({ text: "Yes or no?" }, { constraint }).result;
document.body.append(text);
document.title = "done";
`;

/** An application that Vite builds, with the package's chunks among its own, and serves while it is developed. */
async function vite(tarball) {
  const place = project("vite", tarball, ["vite"]);
  writeFileSync(join(place, "index.html"), `<!doctype html><body><script type="module" src="./main.js"></script>`);
  writeFileSync(join(place, "main.js"), SCRIPT("longprompt"));
  cpSync(MODEL, join(place, "public/model"), { recursive: true });
  run("npx", ["vite", "build", "--logLevel", "error", "--target", "es2023"], place);
  console.log(`ok vite: ${await visit(join(place, "dist"))}`);
  writeFileSync(join(place, "vite.config.js"), `export default { worker: { format: "es" } };`);
  writeFileSync(join(place, "main.js"), GRAMMAR_SCRIPT);
  run("npx", ["vite", "build", "--logLevel", "error", "--target", "es2023"], place);
  console.log(`ok vite, a worker that it builds: ${await visit(join(place, "dist"))}`);
  writeFileSync(join(place, "main.js"), SCRIPT("longprompt"));
  const { createServer: createVite } = await import(join(place, "node_modules/vite/dist/node/index.js"));
  const server = await createVite({ root: place, logLevel: "error", server: { port: 0, host: "localhost" } });
  await server.listen();
  console.log(`ok vite, its development server: ${await seen(server.resolvedUrls.local[0])}`);
  await server.close();
}

/** The same built by webpack. */
async function webpack(tarball) {
  const place = project("webpack", tarball, ["webpack", "webpack-cli"]);
  writeFileSync(join(place, "main.js"), SCRIPT("longprompt"));
  const resolve = { fallback: { module: false, url: false } }; // what the package of grammars asks for in Node
  writeFileSync(join(place, "webpack.config.cjs"), `module.exports = ${JSON.stringify({ resolve })};`);
  run("npx", ["webpack", "--config", "webpack.config.cjs", "--mode", "production", "--entry", "./main.js"], place);
  writeFileSync(join(place, "dist/index.html"), `<!doctype html><body><script src="./main.js"></script>`);
  cpSync(MODEL, join(place, "dist/model"), { recursive: true });
  console.log(`ok webpack: ${await visit(join(place, "dist"))}`);
}

/** A page without a bundler: one script from a file server. */
async function page(tarball) {
  const place = project("page", tarball);
  cpSync(join(place, "node_modules/longprompt/dist/longprompt.min.js"), join(place, "longprompt.min.js"));
  writeFileSync(
    join(place, "index.html"),
    `<!doctype html><body><script type="module">${SCRIPT("./longprompt.min.js")}</script>`,
  );
  cpSync(MODEL, join(place, "model"), { recursive: true });
  console.log(`ok page: ${await visit(place)}`);
}

/** The command as installed: a reply, and the server with a schema, which needs pages and chunks of the package itself. */
async function bin(tarball) {
  const place = project("bin", tarball);
  const command = join(place, "node_modules/.bin/longprompt");
  const said = run(command, ["--prompt", "Hello", "--max-tokens", "4", "--temperature", "0"], place);
  console.log(`ok bin: ${said.trim()}`);
  const server = spawn(command, ["serve", "--port", "0"], { cwd: place, stdio: ["ignore", "pipe", "inherit"] });
  try {
    const address = await new Promise((resolve, reject) => {
      server.stdout.on("data", (text) => /http:\S+?:\d+/.test(text) && resolve(/http:\S+?:\d+/.exec(text)[0]));
      server.once("exit", (code) => reject(new Error(`serve ended with ${code}`)));
    });
    const schema = {
      type: "object",
      properties: { name: { enum: ["Mia", "Tom"] } },
      required: ["name"],
      additionalProperties: false,
    };
    const response = await fetch(`${address}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        messages: [{ role: "user", content: "Who?" }],
        max_tokens: 24,
        temperature: 0,
        response_format: { type: "json_schema", json_schema: { name: "who", schema, strict: true } },
      }),
    });
    const { choices } = await response.json();
    const { name } = JSON.parse(choices[0].message.content);
    console.log(`ok serve: ${name}`);
  } finally {
    server.kill();
  }
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json" };

/** What a page writes once its title is "done". */
async function visit(root) {
  const server = createServer((request, response) => {
    const file = join(root, new URL(request.url, "http://x").pathname.replace(/\/$/, "/index.html"));
    if (!existsSync(file)) return response.writeHead(404).end();
    response
      .writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" })
      .end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  try {
    return await seen(`http://localhost:${server.address().port}/`);
  } finally {
    server.close();
  }
}

/** What the page at an address writes. */
async function seen(address) {
  const { browser } = await launch({});
  try {
    const tab = await browser.newPage();
    const broken = new Promise((_, reject) => tab.on("pageerror", reject));
    await tab.goto(address);
    await Promise.race([tab.waitForFunction(() => document.title === "done", null, { timeout: 120_000 }), broken]);
    return (await tab.innerText("body")).trim();
  } finally {
    await browser.close();
  }
}

const PARTS = { types, node, vite, webpack, page, bin };
const wanted = process.argv.slice(2);
try {
  const tarball = pack();
  console.log(`packed: ${(readFileSync(tarball).length / 1e6).toFixed(1)} MB`);
  for (const [name, part] of Object.entries(PARTS))
    if (wanted.length === 0 || wanted.includes(name)) await part(tarball);
} finally {
  rmSync(folder, { recursive: true });
}
process.exit(0);

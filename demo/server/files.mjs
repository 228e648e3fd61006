// Model files over HTTP: byte ranges, entity tags, a listing. Used by the dev server and by `npm start -- --prompt`.

import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve, sep } from "node:path";

/** Files of a model directory that are served; everything else in it stays private. */
const MODEL_FILE = /\.(safetensors|gguf|json|jinja|txt|model)$/i;

/** Weight files, whose sizes the picker adds up. */
const WEIGHTS = /\.(safetensors|gguf)$/i;

/** Reads a `Range` header against a file size. Several ranges in one header are answered with the whole file.
 * @returns {{start: number, end: number} | "whole" | "unsatisfiable"} end is exclusive */
export function parseRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return "whole";
  const [from, to] = [match[1], match[2]];
  const start = from === "" ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === "" || to === "" ? size : Math.min(size, Number(to) + 1);
  if (from !== "" && to !== "" && Number(to) < Number(from)) return "whole";
  return start < end ? { start, end } : "unsatisfiable";
}

/** The file under one of `directories` that a URL path names, or null. Lexical: `..` never leaves the directory.
 * Symbolic links are followed, because the Hugging Face cache is made of them. */
export async function findFile(directories, urlPath) {
  const path = decode(urlPath);
  if (path === null || !MODEL_FILE.test(path) || path.split(/[/\\]/).some((part) => part.startsWith("."))) return null;
  for (const directory of directories) {
    const root = resolve(directory);
    const file = resolve(root, `.${sep}${path}`);
    if (file.startsWith(root + sep) && (await stat(file).catch(() => null))?.isFile()) return file;
  }
  return null;
}

function decode(urlPath) {
  try {
    const path = decodeURIComponent(urlPath);
    return path.includes("\0") ? null : path;
  } catch {
    return null;
  }
}

/** Answers a GET or HEAD request with `path`, whole or the range asked for. */
export async function serveFile(request, response, path) {
  const info = await stat(path);
  const tag = `"${info.size.toString(16)}-${Math.floor(info.mtimeMs).toString(16)}"`;
  const headers = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache",
    "Content-Type": path.endsWith(".json") ? "application/json" : "application/octet-stream",
    ETag: tag,
    "Last-Modified": info.mtime.toUTCString(),
  };
  if (request.headers["if-none-match"] === tag) return void response.writeHead(304, headers).end();
  const unchanged = (request.headers["if-range"] ?? tag) === tag;
  const range = unchanged ? parseRange(request.headers.range, info.size) : "whole";
  if (range === "unsatisfiable") {
    return void response.writeHead(416, { ...headers, "Content-Range": `bytes */${info.size}` }).end();
  }
  const { start, end } = range === "whole" ? { start: 0, end: info.size } : range;
  headers["Content-Length"] = String(end - start);
  if (range !== "whole") headers["Content-Range"] = `bytes ${start}-${end - 1}/${info.size}`;
  response.writeHead(range === "whole" ? 200 : 206, headers);
  if (request.method === "HEAD" || start === end) return void response.end();
  const stream = createReadStream(path, { start, end: end - 1 });
  stream.on("error", () => response.destroy());
  response.on("close", () => stream.destroy());
  stream.pipe(response);
}

/** A connect middleware that serves model files below `prefix` from `directories`; anything else below it is a 404. */
export function modelFiles(prefix, directories) {
  return async (request, response, next) => {
    const path = request.url.split(/[?#]/)[0];
    if (!path.startsWith(prefix) || !["GET", "HEAD"].includes(request.method)) return next();
    try {
      const file = await findFile(directories, path.slice(prefix.length));
      if (file) return await serveFile(request, response, file);
      response.writeHead(404, { "Content-Type": "text/plain" }).end("no such model file\n");
    } catch (error) {
      next(error);
    }
  };
}

/** A middleware that answers `/models.json` with what `listModels` finds. */
export function modelList(directory) {
  return async (request, response, next) => {
    if (request.url.split("?")[0] !== "/models.json") return next();
    const models = await listModels(directory).catch(() => []);
    response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
    response.end(JSON.stringify(models));
  };
}

/** The models below `directory`: a checkpoint directory with config.json and .safetensors, or single .gguf files.
 * @returns {Promise<{name: string, path: string, bytes: number}[]>} path is relative to `directory` */
export async function listModels(directory) {
  const models = await modelsIn(directory, "");
  for (const entry of await entriesOf(directory)) {
    if (entry.directory) models.push(...(await modelsIn(join(directory, entry.name), `${entry.name}/`)));
  }
  return models.toSorted((a, b) => a.name.localeCompare(b.name));
}

async function modelsIn(directory, prefix) {
  const files = (await entriesOf(directory)).filter((entry) => !entry.directory && !/mmproj/i.test(entry.name));
  const models = files
    .filter((file) => /\.gguf$/i.test(file.name))
    .map((file) => ({ name: file.name.replace(/\.gguf$/i, ""), path: prefix + file.name, bytes: file.bytes }));
  const tensors = files.filter((file) => /\.safetensors$/i.test(file.name));
  if (prefix && tensors.length > 0 && files.some((file) => file.name === "config.json")) {
    const bytes = tensors.reduce((sum, file) => sum + file.bytes, 0);
    models.push({ name: basename(prefix), path: prefix, bytes });
  }
  return models;
}

async function entriesOf(directory) {
  const names = await readdir(directory).catch(() => []);
  const entries = names
    .filter((name) => !name.startsWith("."))
    .map(async (name) => {
      const info = await stat(join(directory, name)).catch(() => null);
      return info && { name, directory: info.isDirectory(), bytes: info.size };
    });
  return (await Promise.all(entries)).filter((entry) => entry !== null);
}

/** What is wrong with a local model path, or null: the checks that need no GPU.
 * @returns {Promise<{directory: string, file: string} | string>} file "" = the directory is the model; a string is the error message */
export async function localModel(path) {
  const info = await stat(path).catch(() => null);
  if (!info) return `no such file or directory: ${path}`;
  if (info.isFile()) {
    if (!/\.gguf$/i.test(path))
      return `${path} is no .gguf file. Give a .gguf file or a directory with config.json and .safetensors.`;
    const full = resolve(path);
    return { directory: resolve(full, ".."), file: basename(full) };
  }
  const names = await readdir(path).catch(() => null);
  if (!names) return `cannot read ${path}`;
  if (names.includes("config.json") && names.some((name) => /\.safetensors$/i.test(name))) {
    return { directory: resolve(path), file: "" };
  }
  const single = names.filter((name) => /\.gguf$/i.test(name));
  if (single.length === 1) return { directory: resolve(path), file: single[0] };
  if (single.length > 1) return `${path} holds ${single.length} .gguf files. Name one of them.`;
  const has = names.some((name) => WEIGHTS.test(name)) ? "config.json" : "model.safetensors or .gguf";
  return `${path} holds no model: ${has} is missing`;
}

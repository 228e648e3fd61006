// What `--model` and `--student` name.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { localModel } from "../files.mjs";
import { UsageError } from "./read.mjs";

const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), "../../..");

/** What `--model` means, with everything checked that needs no GPU and no network.
 * @returns {Promise<{local: {directory: string, file: string}} | {source: string}>}
 * @throws {UsageError} */
export async function resolveModel(model) {
  if (/^https?:\/\//i.test(model)) return { source: model };
  const path = model.startsWith("~/") ? join(homedir(), model.slice(2)) : model;
  const looksLocal = /^(\.{0,2}[/\\]|[A-Za-z]:[/\\])/.test(path) || /\.gguf$/i.test(path) || existsSync(path);
  const named = ["demo/models", "dist-demo/models", "models"]
    .map((folder) => join(REPOSITORY, folder, model))
    .find((place) => existsSync(place));
  const parent = path.includes("/") && existsSync(path.split("/")[0]);
  if (existsSync(path) || (!named && (looksLocal || parent))) return local(path);
  if (named) return local(named);
  if (/^[\w][\w.-]*\/[\w][\w.-]*(@[\w./-]+)?$/.test(model)) return { source: model };
  throw new UsageError(
    `unknown model "${model}": give a directory, a .gguf file, a URL, org/name, or a name in models/`,
  );
}

/** What `--student` means: like `resolveModel`.
 * @throws {UsageError} */
export async function resolveStudent(student) {
  if (/^https?:\/\//i.test(student)) return { source: student };
  const file = /\.safetensors$/i.test(student) ? student : join(student, STUDENT_FILE);
  if (existsSync(file)) return { local: { directory: dirname(resolve(file)), file: basename(file) } };
  throw new UsageError(`--student ${student}: got no ${STUDENT_FILE} there, want what npm run convert wrote`);
}

/** What `--trained` means: a file or a URL.
 * @throws {UsageError} */
export async function resolveTrained(file) {
  if (/^https?:\/\//i.test(file)) return { source: file };
  if (existsSync(file)) return { local: { directory: dirname(resolve(file)), file: basename(file) } };
  throw new UsageError(`--trained ${file}: got no such file, want the weights of a cache system (.safetensors)`);
}

/** What `load(…, { student })` looks for in a folder. */
export const STUDENT_FILE = "student.safetensors";

async function local(path) {
  const found = await localModel(path);
  if (typeof found === "string") throw new UsageError(found);
  return { local: found };
}

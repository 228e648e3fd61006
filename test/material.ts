// Material that is not in the repository: third-party models, with records of what they answer.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "playwright/test";

const ROOT = join(import.meta.dirname, "..");
const MATERIAL = resolve(ROOT, process.env.LONGPROMPT_MATERIAL ?? "../shared");

/** Texts, by folder. */
export const CORPORA = join(MATERIAL, "corpora");

/** Folders of models: where `npm run model` puts them, the material, what the repository has. */
export const MODEL_FOLDERS = [join(ROOT, "models"), join(MATERIAL, "models"), join(ROOT, "demo/models")];

export const SMOLLM2 = "smollm2-135m-instruct";
export const SMOLLM2_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf";
export const STORIES = "stories260K";

/** Real models with golden tokens in test/golden/. */
export const GEMMA = "gemma3-270m";
export const GEMMA_GGUF = "gemma-3-270m-q4_k_m.gguf";
export const CODER = "qwen2.5-coder-1.5b-instruct";
export const CODER_GGUF = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf";

/** Files that `npm run model` fetches. */
const FETCHED = [SMOLLM2_GGUF, GEMMA_GGUF, CODER_GGUF];

/** The first of a model's folders that has this file, or null. */
export const folderHolding = (model: string, file: string): string | null =>
  MODEL_FOLDERS.map((folder) => join(folder, model)).find((folder) => existsSync(join(folder, file))) ?? null;

/** Skips the test, and says what to do, unless these files of the model are here. */
export function skipWithout(model: string, ...files: string[]): void {
  const missing = files.find((file) => !folderHolding(model, file));
  const how =
    missing && FETCHED.includes(missing)
      ? `run \`npm run model -- ${model}\` (needs PyPI)`
      : `set LONGPROMPT_MATERIAL to a folder that has it as models/${model}/${missing}`;
  test.skip(missing !== undefined, `needs ${model}/${missing}: ${how}`);
}

// What a file is that somebody drops or picks: a part of a model, a text, or something that neither page reads.

import { troubleCard } from "./trouble.ts";

export type FileKind = "model" | "text" | "pdf" | "picture" | "document" | "other";

const MODEL = /\.(gguf|safetensors)$|^(config|tokenizer|tokenizer_config|generation_config)\.json$/i;
const DOCUMENT = /\.(docx?|odt|epub|rtf)$/i;
/** Bytes that are looked at. */
const SAMPLE = 4096;

/** By its name, else by its first bytes. */
export async function fileKind(file: File): Promise<FileKind> {
  if (MODEL.test(file.name)) return "model";
  if (file.type.startsWith("image/")) return "picture";
  if (/\.pdf$/i.test(file.name)) return "pdf";
  if (DOCUMENT.test(file.name)) return "document";
  return (await isText(file)) ? "text" : "other";
}

/** Valid UTF-8 without zeros. The sample may end within a character. */
async function isText(file: File): Promise<boolean> {
  try {
    const bytes = await file.slice(0, SAMPLE).arrayBuffer();
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return text !== "" && !text.includes("\0");
  } catch {
    return false;
  }
}

/** It can go before a question. */
export const isReadable = (kind: FileKind): boolean => kind === "text" || kind === "pdf";

const NAMES: Record<FileKind, string> = {
  model: "a part of a model",
  text: "a text, not a model",
  pdf: "a PDF, not a model",
  picture: "a picture",
  document: "a document in a format that this page does not read",
  other: "no model and no text",
};

const MODEL_IS = "A model is a .gguf file, or a folder with config.json, tokenizer.json and .safetensors.";
const AS_TEXT = "To ask about what it says, save it as plain text or PDF and add that in the chat.";

/** Says what the file is and what to drop instead. `useText`: for a text or PDF, where the page can use one. */
export function wrongFile(name: string, kind: FileKind, useText?: () => unknown): HTMLElement {
  const advice = kind === "document" ? [AS_TEXT] : [];
  return troubleCard(
    { title: `${name} is ${NAMES[kind]}`, text: MODEL_IS, advice, remedies: ["useText"], detail: "" },
    isReadable(kind) && useText ? { useText } : {},
  );
}

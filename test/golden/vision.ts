// Models that see, as vision.py made them: checkpoints as hub folders, pictures, questions.
import { readFileSync } from "node:fs";
import type { ChatPrompt, ContentPart } from "../../src/api.ts";
import { fill, stream } from "./checkpoint.ts";
import { folderOf, json, letterTokenizer } from "./folder.ts";
import { toPng } from "./png.ts";

interface Pictured {
  name: string;
  width: number;
  height: number;
}

export interface VisionCase {
  seed: number;
  config: Record<string, unknown>;
  preprocessor: Record<string, unknown>;
  /** Shapes by name. */
  tensors: Record<string, number[]>;
  pictures: Pictured[];
  /** Texts before, between and after the pictures. */
  words: string[];
  /** The prompt as the processor writes it. */
  ids: number[];
  greedy: { tokens: number[]; logprobs: number[]; margins: number[] };
  float32Gap: number;
}

interface Resized {
  setting: string;
  width: number;
  height: number;
  rows: number;
  columns: number;
  tiles: number;
  /** Of all tiles' bytes: red, green and blue by pixel. */
  sha256: string;
}

interface Fixture extends Record<"idefics3" | "smolvlm", VisionCase> {
  template: string;
  special: string[];
  settings: Record<string, Record<string, unknown>>;
  resized: Resized[];
}

export const fixture = JSON.parse(readFileSync("test/golden/vision.json", "utf8")) as Fixture;

/** The checkpoint's files. */
export function visionFiles(name: "idefics3" | "smolvlm"): Map<string, Uint8Array> {
  const { config, preprocessor, tensors, seed } = fixture[name];
  const filled = Object.entries(tensors).map(
    ([tensor, shape]) => [tensor, { shape, data: fill(seed, tensor, shape, "F32") }] as const,
  );
  const { vocab_size } = config["text_config"] as { vocab_size: number };
  const { special, template } = fixture;
  const letter = (id: number) => (id === special.length ? "\n" : String.fromCodePoint(0x100 + id));
  const files = folderOf({ config, tensors: new Map(filled) }, "F32", letterTokenizer(vocab_size, special, letter));
  files.set("preprocessor_config.json", json(preprocessor));
  files.set("chat_template.jinja", new TextEncoder().encode(template));
  return files;
}

/** Bytes of a picture, three to a pixel. */
export function pixelsOf({ name, width, height }: Pictured): Uint8Array<ArrayBuffer> {
  const next = stream(`0/picture ${name}`);
  return Uint8Array.from({ length: 3 * width * height }, () => Math.floor(((next() + 1) / 2) * 256));
}

export const urlOf = (picture: Pictured): string =>
  `data:image/png;base64,${toPng(picture.width, picture.height, pixelsOf(picture)).toString("base64")}`;

/** The question of a case, with other pictures where they are given. */
export function questionOf({ pictures, words }: VisionCase, urls = pictures.map(urlOf)): ChatPrompt {
  const parts = urls.flatMap((image, i): ContentPart[] => [
    { type: "image", image },
    { type: "text", text: words[i + 1]! },
  ]);
  return { messages: [{ role: "user", content: [{ type: "text", text: words[0]! }, ...parts] }] };
}

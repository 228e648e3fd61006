// A checkpoint as the rest of the engine sees it, whatever it came from and in whatever format it is.

import { InputError, isObject, ModelError } from "../errors.ts";
import type { ModelSource } from "../api.ts";
import { parseObject, quote, readText } from "./files/bytes.ts";
import type { Folder, ReadOptions } from "./files/bytes.ts";
import type { SourceContext } from "./files/context.ts";
import { absoluteUrl } from "./files/http.ts";
import { Network } from "./files/network.ts";
import type { Platform } from "./files/shelf.ts";
import { readSafetensors } from "./formats/safetensors.ts";
import { openSource } from "./files/source.ts";
import type { TensorInfo } from "../tensor.ts";
import type { StoredTensor } from "./formats/tensor.ts";

type Json = Record<string, unknown>;

export interface Checkpoint {
  /** Directory, hub id or file name without .gguf. */
  name: string;
  /** config.json in Hugging Face vocabulary; of a GGUF, made from its metadata. */
  config: Record<string, unknown>;
  /** generation_config.json, {} where there is none. */
  generationConfig: Record<string, unknown>;
  /**
   * tokenizer.json, tokenizer_config.json with special_tokens_map.json in it, and added_tokens.json; null for a GGUF or
   * where there is no tokenizer.json.
   */
  tokenizer: { json: unknown; config: Record<string, unknown>; added: Record<string, unknown> } | null;
  /** Jinja source. */
  chatTemplate: string | null;
  /** preprocessor_config.json, of a model that sees in a way that the engine knows; else null. */
  preprocessor: Record<string, unknown> | null;
  /** The tokenizer.* metadata of a GGUF: numbers, booleans, strings and plain arrays of them. */
  gguf: ReadonlyMap<string, unknown> | null;
  /** By Hugging Face name, in file order: the order in which reading is cheapest. */
  tensors: ReadonlyMap<string, TensorInfo & { byteLength: number }>;
  /** Types of the tensors that the engine does not compute with, by name. */
  others: ReadonlyMap<string, string>;
  /** Of all tensors. */
  totalBytes: number;
  /**
   * The bytes of a tensor as the file has them. Read in file order: a server without range requests is streamed, and
   * going back starts its download over. Calls queue up, one tensor is in memory at a time. Throws ModelError if the
   * bytes cannot be had, the signal's reason on abort; both leave the checkpoint usable.
   */
  read(name: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
  /** Of the files with tensors: what is to be downloaded and kept. */
  readonly missingBytes: number;
  /**
   * Once the tensors have been read: fetches what is missing of files that are kept, and compares those whose SHA-256 is
   * known with it. Throws Damaged where one is another, once what was kept of it is gone.
   */
  settle(signal?: AbortSignal): Promise<void>;
  /** Drops open responses, and what others wait for. Idempotent. */
  close(): void;
}

export interface OpenOptions {
  signal?: AbortSignal | undefined;
  /**
   * Bytes so far, in all, and what they belong to. While opening: of the small files, total 0; while reading: of the
   * tensors, summed over all reads.
   */
  onBytes?: ((loaded: number, total: number, item: string) => void) | undefined;
  /** Default https://huggingface.co. */
  hubUrl?: string | undefined;
  /** Of a file that is proposed where there are several, at most. Default: any. */
  mostBytes?: number | undefined;
  /** Default: the global one. */
  fetch?: typeof fetch | undefined;
  /** Whether downloads from other origins are kept. Default true. */
  keep?: boolean | undefined;
  /** What they are kept in. Default: what the browser has. */
  platform?: Platform | undefined;
  /** By file name, in hexadecimal; wins over what the hub says. */
  sha256?: Readonly<Record<string, string>> | undefined;
  /** For the hub, which alone is sent it. */
  token?: string | undefined;
  /** Another page downloads a file: its bytes so far, and in all. */
  onWait?: ((kept: number, total: number, item: string) => void) | undefined;
  /** First pause before another attempt at a failed request, doubled each time. Default 300. */
  retryMs?: number | undefined;
}

/**
 * Finds and checks everything but the tensors' contents. Throws InputError if `source` is none, ModelError if files are
 * missing, damaged or unreachable, UnsupportedError for formats without an implementation, and the signal's reason.
 */
export async function openCheckpoint(source: ModelSource, options: OpenOptions = {}): Promise<Checkpoint> {
  const { signal } = options;
  signal?.throwIfAborted();
  const context = openContext(options);
  const opened = await openSource(source, context);
  try {
    const found = "open" in opened ? await openFolder(opened, options) : await (await whole()).openGguf(opened, signal);
    const settled = "open" in opened ? opened.settle : undefined;
    const checkpoint = assemble(found, options, { settled, close: () => context.shelf?.close() });
    await context.shelf?.ask(checkpoint.missingBytes);
    return checkpoint;
  } catch (error) {
    context.shelf?.close();
    throw error;
  }
}

const whole = () => import("./formats/whole.ts");
const uncommon = () => import("./formats/uncommon.ts");

/** Where sources are looked for. */
export function openContext(options: OpenOptions): SourceContext {
  const { fetch = globalThis.fetch, retryMs = 300, token, keep = true } = options;
  const hubUrl = (options.hubUrl ?? "https://huggingface.co").replace(/\/+$/, "");
  return {
    network: new Network({
      fetch,
      retryMs,
      ...(token && { token: { value: token, origin: absoluteUrl(hubUrl).origin } }),
    }),
    keep,
    platform: options.platform,
    shelf: null,
    sha256: options.sha256 ?? {},
    hubUrl,
    mostBytes: options.mostBytes ?? Infinity,
    signal: options.signal,
  };
}

interface OpenedFiles extends Pick<
  Checkpoint,
  "name" | "config" | "generationConfig" | "tokenizer" | "chatTemplate" | "preprocessor" | "gguf" | "others"
> {
  tensors: readonly StoredTensor[];
}

async function openFolder(folder: Folder, options: OpenOptions): Promise<OpenedFiles> {
  const { signal } = options;
  const texts = new Texts(folder, options);
  const config = await texts.object("config.json");
  if (!config) {
    throw await (
      await uncommon()
    ).absent(folder, "no config.json; got no such file, want a Hugging Face checkpoint.", signal);
  }
  const json = await texts.object("tokenizer.json");
  const tokenizerConfig = (await texts.object("tokenizer_config.json")) ?? {};
  const inConfig = chatTemplateOf(tokenizerConfig["chat_template"], `${folder.name}/tokenizer_config.json`);
  // The file wins over the field; where one cannot see whether there is a file, the field does.
  const jinja = folder.unlisted && inConfig !== null ? null : await texts.text("chat_template.jinja");
  const generationConfig = (await texts.object("generation_config.json")) ?? {};
  return {
    name: folder.name,
    config,
    generationConfig,
    tokenizer: json && { json, ...(await withOlder(folder, texts, tokenizerConfig)) },
    chatTemplate: jinja ?? inConfig,
    preprocessor:
      "vision_config" in config ? await (await uncommon()).seeing(config, (path) => texts.object(path)) : null,
    gguf: null,
    // Last: its response stays open, and the first tensor is read on from the header.
    ...(await openTensors(folder, texts, signal)),
  };
}

/** The small files of a folder; null for those that are not there. */
class Texts {
  readonly #folder: Folder;
  readonly #options: OpenOptions;
  #loaded = 0;

  constructor(folder: Folder, options: OpenOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  async text(path: string): Promise<string | null> {
    const { signal, onBytes, onWait } = this.#options;
    const file = await this.#folder.open(path, signal);
    if (!file) return null;
    const reading: ReadOptions = {
      signal,
      onBytes: (bytes) => onBytes?.((this.#loaded += bytes), 0, path),
      onWait: (kept, total) => onWait?.(kept, total, path),
    };
    try {
      const text = await readText(file, reading);
      await file.settle?.(reading);
      return text;
    } finally {
      file.close();
    }
  }

  async object(path: string): Promise<Record<string, unknown> | null> {
    const text = await this.text(path);
    return text === null ? null : parseObject(text, `${this.#folder.name}/${path}`);
  }
}

/**
 * The settings of a tokenizer, with what older checkpoints say in files of their own. Where one cannot see whether they are
 * there, they are asked for only if names of special tokens are missing.
 */
async function withOlder(folder: Folder, texts: Texts, config: Json): Promise<{ config: Json; added: Json }> {
  const isNamed = Object.keys(config).some((key) => key.endsWith("_token"));
  if ("added_tokens_decoder" in config || (folder.unlisted && isNamed)) return { config, added: {} };
  return (await uncommon()).olderFiles(config, (path) => texts.object(path));
}

/** A template, or a list of named ones of which "default" counts. */
function chatTemplateOf(value: unknown, name: string): string | null {
  if (value === undefined || value === null || typeof value === "string") return value ?? null;
  if (!Array.isArray(value)) {
    throw new ModelError(`${name}: chat_template; got ${quote(value)}, want a string or [{name, template}].`);
  }
  const entries: unknown[] = value;
  const found = entries.find((entry) => isObject(entry) && entry["name"] === "default");
  return isObject(found) && typeof found["template"] === "string" ? found["template"] : null;
}

type Tensors = Pick<OpenedFiles, "tensors" | "others">;

async function openTensors(folder: Folder, texts: Texts, signal?: AbortSignal): Promise<Tensors> {
  const whole = await folder.open("model.safetensors", signal);
  if (whole) return named(await readSafetensors(whole, signal));
  const index = await texts.object("model.safetensors.index.json");
  if (!index) {
    const what =
      "no weights; got neither model.safetensors nor model.safetensors.index.json, want one. Only safetensors and GGUF can be read.";
    throw await (await uncommon()).absent(folder, what, signal);
  }
  return named(await (await uncommon()).openShards(folder, index, signal));
}

/** The tensors under the names of a plain causal model. */
async function named({ tensors, others }: Tensors): Promise<Tensors> {
  const isUsual = tensors.some(({ name }) => name.startsWith("model.layers.0."));
  if (isUsual && !tensors.some(({ name }) => /(qkv|gate_up)_proj/.test(name))) return { tensors, others };
  const { withUsualNames } = await import("./formats/names.ts");
  return { tensors: withUsualNames(tensors), others };
}

interface Endings {
  /** What is to be done once all files are there. */
  settled: (() => Promise<void>) | undefined;
  close: () => void;
}

function assemble(found: OpenedFiles, { onBytes, onWait }: OpenOptions, { settled, close }: Endings): Checkpoint {
  const tensors = new Map(found.tensors.map((tensor) => [tensor.name, tensor]));
  const totalBytes = found.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const files = new Set(found.tensors.map(({ file }) => file));
  let loaded = 0;
  let isClosed = false;
  let queue: Promise<unknown> = Promise.resolve();
  const readNow = async (name: string, signal: AbortSignal | undefined) => {
    signal?.throwIfAborted();
    if (isClosed)
      throw new InputError(`${found.name}: closed; got a read of ${name}, want none after close().`, {
        code: "disposed",
      });
    const tensor = tensors.get(name);
    if (!tensor) throw new ModelError(`${found.name}: tensor missing; got none called ${quote(name)}, want one.`);
    const count = (bytes: number) => onBytes?.((loaded = Math.min(totalBytes, loaded + bytes)), totalBytes, name);
    const options: ReadOptions = { signal, onBytes: count, onWait: (...bytes) => onWait?.(...bytes, name) };
    return tensor.file.read(tensor.offset, tensor.byteLength, options);
  };
  return {
    ...found,
    tensors,
    totalBytes,
    read(name, signal) {
      const result = queue.then(() => readNow(name, signal));
      queue = result.catch(() => undefined);
      return result;
    },
    get missingBytes() {
      return [...files].reduce((sum, { missingBytes = 0 }) => sum + missingBytes, 0);
    },
    async settle(signal) {
      for (const file of files) await file.settle?.({ signal, onWait: (...bytes) => onWait?.(...bytes, file.name) });
      await settled?.();
    },
    close() {
      isClosed = true;
      for (const file of files) file.close();
      close();
    },
  };
}

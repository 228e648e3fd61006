// From what the caller names to a file or folder that can be read.

import { InputError, ModelError } from "../../errors.ts";
import type { ModelSource } from "../../api.ts";
import type { ByteFile, Folder } from "./bytes.ts";
import { openCached } from "./cache.ts";
import { absoluteUrl, HttpFile } from "./http.ts";
import type { Network } from "./http.ts";
import { openHandle, openPicked } from "./local.ts";
import { openHub, parseHubId, parseHubUrl } from "./hub.ts";

export interface SourceContext {
  network: Network;
  caches: CacheStorage | undefined;
  /** Without a slash at the end. */
  hubUrl: string;
  /** Of a file to propose. */
  mostBytes: number;
  signal: AbortSignal | undefined;
}

/**
 * A GGUF as a file, anything else as a folder.
 *
 * Strings: `org/name[@revision]` is a hub id; what begins with http(s)://, blob:, / or ./ is a URL, as is everything that
 * ends in .gguf or /. A URL that names neither a .gguf nor config.json is a directory. Throws InputError for anything
 * that is no source, ModelError for one that cannot be opened.
 */
export async function openSource(source: ModelSource, context: SourceContext): Promise<ByteFile | Folder> {
  if (typeof source === "string") return openNamed(source.trim(), context);
  if (typeof source !== "object" || source === null) {
    throw new InputError(
      `model source: wrong kind; got ${typeof source}, want a URL, a hub id, files or a directory handle.`,
      { code: "bad-source" },
    );
  }
  if ("getFileHandle" in source) return openHandle(source);
  const files: unknown[] = Array.from(source);
  if (files.every((file) => file instanceof File)) return openPicked(files);
  throw new InputError("model source: wrong kind; got a list of something else, want a list of File.", {
    code: "bad-source",
  });
}

async function openNamed(source: string, context: SourceContext): Promise<ByteFile | Folder> {
  const { hubUrl } = context;
  const isUrl = /^([a-z]+:|\.{0,2}\/)|(\.gguf|\/)$/i.test(source);
  const id = isUrl ? parseHubUrl(absoluteUrl(source), hubUrl) : parseHubId(source);
  if (id) return openHub(id, context);
  if (isUrl) return openUrl(absoluteUrl(source), context);
  throw new InputError(
    `model source: not understood; got "${source}", want a URL, /path/, or org/name of a hub model.`,
    { code: "bad-source" },
  );
}

async function openUrl(url: URL, context: SourceContext): Promise<ByteFile | Folder> {
  const isGguf = url.pathname.toLowerCase().endsWith(".gguf") || url.protocol === "blob:";
  if (isGguf) {
    // The hub's page about a file, as people copy it from the address bar.
    if (url.origin === new URL(context.hubUrl).origin) url.pathname = url.pathname.replace("/blob/", "/resolve/");
    const file = await openFile(url.href, context, context.signal);
    if (file) return withNeighbours(file, url, context);
    throw new ModelError(
      `${url.href}: not found; got HTTP 404 or an HTML page, want a GGUF file. Is the address right?`,
      { code: "not-found" },
    );
  }
  url.pathname = url.pathname.replace(/(\/config\.json|\/?)$/, "/");
  return {
    name: decodeURIComponent(url.pathname.split("/").at(-2) || url.host),
    unlisted: true,
    open: (path, signal) => {
      const file = new URL(url);
      file.pathname += encodeURIComponent(path);
      return openFile(file.href, context, signal);
    },
  };
}

/** The same file, which finds others in its directory. */
function withNeighbours(file: ByteFile, url: URL, context: SourceContext): ByteFile {
  file.beside = (name, signal) => {
    const other = new URL(url);
    other.pathname = other.pathname.replace(/[^/]*$/, encodeURIComponent(name));
    return openFile(other.href, context, signal);
  };
  return file;
}

/** The own origin's files are near and may change at any time: only others are cached. */
async function openFile(
  url: string,
  { network, caches }: SourceContext,
  signal?: AbortSignal,
): Promise<ByteFile | null> {
  const isOwn = ["null", Reflect.get(globalThis, "origin")].includes(new URL(url).origin);
  if (isOwn) return HttpFile.open(network, url, { signal });
  return openCached(caches, network, url, { isImmutable: false, signal });
}

// From what the caller names to a file or folder that can be read.

import { InputError, ModelError } from "../../errors.ts";
import type { ModelSource } from "../../api.ts";
import type { ByteFile, Folder } from "./bytes.ts";
import { openCached } from "./cached.ts";
import { CheckedFile } from "./checked.ts";
import { absoluteUrl, HttpFile } from "./http.ts";
import { openHub, parseHubFile, parseHubId, parseHubUrl } from "./hub.ts";
import { openHandle, openPicked } from "./local.ts";
import type { Network } from "./network.ts";
import { keyOf, type Listing, type Shelf } from "./shelf.ts";

export interface SourceContext {
  network: Network;
  shelf: Shelf;
  /** By file, as the caller knows them. */
  sha256: Readonly<Record<string, string>>;
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
  if (isGguf) return openGguf(url, context);
  url.pathname = url.pathname.replace(/(\/config\.json|\/?)$/, "/");
  const address = keyOf(url.href);
  return {
    name: decodeURIComponent(url.pathname.split("/").at(-2) || url.host),
    unlisted: true,
    open: (path, signal) => {
      const file = new URL(url);
      file.pathname += encodeURIComponent(path);
      return openFile(file.href, { model: address, source: address }, context, signal);
    },
  };
}

async function openGguf(url: URL, context: SourceContext): Promise<ByteFile> {
  const named = parseHubFile(url, context.hubUrl);
  // the parts of a model in several files are listed together
  const source = url.protocol === "blob:" ? url.href : keyOf(url.href);
  const model = (named ? `${named.id}/${named.path}` : source).replace(/-\d{5}-of-(\d{5}\.gguf)$/i, "-of-$1");
  const listing = { model, source };
  const folder = named && (await openHub(named, { ...context, listing }));
  const open = async (name: string | null, signal?: AbortSignal): Promise<ByteFile | null> => {
    if (named) return folder!.open(name === null ? named.path : named.path.replace(/[^/]*$/, name), signal);
    const file = new URL(url);
    if (name !== null) file.pathname = file.pathname.replace(/[^/]*$/, encodeURIComponent(name));
    return openFile(file.href, listing, context, signal);
  };
  const file = await open(null, context.signal);
  if (file) return Object.assign(file, { beside: open });
  throw new ModelError(`${source}: not found; got HTTP 404 or an HTML page, want a GGUF file. Is the address right?`, {
    code: "not-found",
  });
}

/** The own origin's files are near and may change at any time: only others are kept. */
async function openFile(
  url: string,
  listing: Listing,
  { network, shelf, sha256 }: SourceContext,
  signal?: AbortSignal,
): Promise<ByteFile | null> {
  const { origin, pathname } = new URL(url);
  const given = sha256[decodeURIComponent(pathname.split("/").at(-1)!)] ?? null;
  const isOwn = ["null", Reflect.get(globalThis, "origin")].includes(origin);
  if (!isOwn) return openCached(shelf, network, url, { listing, isImmutable: false, sha256: given, signal });
  const file = await HttpFile.open(network, url, { signal });
  return file && given ? new CheckedFile(file, given) : file;
}

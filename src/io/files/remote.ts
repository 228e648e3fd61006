// Files that are not simply read from the page's own origin: those of other origins and of the hub, kept where they can be,
// GGUF files, and those whose SHA-256 is known.

import { ModelError } from "../../errors.ts";
import type { ByteFile, Folder } from "./bytes.ts";
import { openCached } from "./cached.ts";
import { CheckedFile } from "./checked.ts";
import { hashOf, isOwn, type SourceContext } from "./context.ts";
import { HttpFile } from "./http.ts";
import { openHub } from "./hub.ts";
import { type HubId, parseHubFile } from "./hubid.ts";
import { keyOf, type Listing, platform, Shelf } from "./shelf.ts";

/** A model of the hub. */
export const openNamed = (id: HubId, context: SourceContext): Promise<Folder> =>
  openHub(id, { ...context, shelf: shelfOf(context) });

/** A folder's file. */
export function openIn(folder: URL, file: URL, context: SourceContext, signal?: AbortSignal): Promise<ByteFile | null> {
  const address = keyOf(folder.href);
  return openFile(file, { model: address, source: address }, context, signal);
}

/** By its address; it finds others beside it. */
export async function openGguf(url: URL, context: SourceContext): Promise<ByteFile> {
  const named = parseHubFile(url, context.hubUrl);
  // the parts of a model in several files are listed together
  const source = url.protocol === "blob:" ? url.href : keyOf(url.href);
  const model = (named ? `${named.id}/${named.path}` : source).replace(/-\d{5}-of-(\d{5}\.gguf)$/i, "-of-$1");
  const listing = { model, source };
  const folder = named && (await openHub(named, { ...context, shelf: shelfOf(context), listing }));
  const open = async (name: string | null, signal?: AbortSignal): Promise<ByteFile | null> => {
    if (named) return folder!.open(name === null ? named.path : named.path.replace(/[^/]*$/, name), signal);
    const file = new URL(url);
    if (name !== null) file.pathname = file.pathname.replace(/[^/]*$/, encodeURIComponent(name));
    return openFile(file, listing, context, signal);
  };
  const file = await open(null, context.signal);
  if (file) return Object.assign(file, { beside: open });
  throw new ModelError(`${source}: not found; got HTTP 404 or an HTML page, want a GGUF file. Is the address right?`, {
    code: "not-found",
  });
}

async function openFile(
  url: URL,
  listing: Listing,
  context: SourceContext,
  signal?: AbortSignal,
): Promise<ByteFile | null> {
  const { network } = context;
  const sha256 = hashOf(url, context);
  if (!isOwn(url))
    return openCached(shelfOf(context), network, url.href, { listing, isImmutable: false, sha256, signal });
  const file = await HttpFile.open(network, url.href, { signal });
  return file && sha256 ? new CheckedFile(file, sha256) : file;
}

/** What all files of a load share. */
function shelfOf(context: SourceContext): Shelf {
  const { caches, ...others } = context.platform ?? platform();
  return (context.shelf ??= new Shelf({ ...others, caches: context.keep ? caches : undefined }));
}

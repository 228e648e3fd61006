// From what the caller names to a file or folder that can be read.

import { InputError } from "../../errors.ts";
import type { ModelSource } from "../../api.ts";
import type { ByteFile, Folder } from "./bytes.ts";
import { hashOf, isOwn, type SourceContext } from "./context.ts";
import { absoluteUrl, HttpFile } from "./http.ts";
import { parseHubId, parseHubUrl } from "./hubid.ts";

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
  const local = await import("./local.ts");
  if ("getFileHandle" in source) return local.openHandle(source);
  const files: unknown[] = Array.from(source);
  if (files.every((file) => file instanceof File)) return local.openPicked(files);
  throw new InputError("model source: wrong kind; got a list of something else, want a list of File.", {
    code: "bad-source",
  });
}

const isUrlText = (source: string): boolean => /^([a-z]+:|\.{0,2}\/)|(\.gguf|\/)$/i.test(source);

/** The same place named so that it does not depend on where it is read. */
export const absoluteSource = (source: string): string =>
  isUrlText(source.trim()) ? absoluteUrl(source.trim()).href : source;

async function openNamed(source: string, context: SourceContext): Promise<ByteFile | Folder> {
  const { hubUrl } = context;
  const isUrl = isUrlText(source);
  const id = isUrl ? parseHubUrl(absoluteUrl(source), hubUrl) : parseHubId(source);
  if (id) {
    const remote = await import("./remote.ts");
    return remote.openNamed(id, context);
  }
  if (isUrl) return openUrl(absoluteUrl(source), context);
  throw new InputError(
    `model source: not understood; got "${source}", want a URL, /path/, or org/name of a hub model.`,
    { code: "bad-source" },
  );
}

async function openUrl(url: URL, context: SourceContext): Promise<ByteFile | Folder> {
  const isGguf = url.pathname.toLowerCase().endsWith(".gguf") || url.protocol === "blob:";
  if (isGguf) {
    const { openGguf } = await import("./remote.ts");
    return openGguf(url, context);
  }
  url.pathname = url.pathname.replace(/(\/config\.json|\/?)$/, "/");
  return {
    name: decodeURIComponent(url.pathname.split("/").at(-2) || url.host),
    unlisted: true,
    open: (path, signal) => {
      const file = new URL(url);
      file.pathname += encodeURIComponent(path);
      return openIn(url, file, context, signal);
    },
  };
}

/** The shortest way to a file of the own origin; what others take is fetched with the first of them. */
async function openIn(folder: URL, file: URL, context: SourceContext, signal?: AbortSignal): Promise<ByteFile | null> {
  if (isOwn(file) && hashOf(file, context) === null) return HttpFile.open(context.network, file.href, { signal });
  const remote = await import("./remote.ts");
  return remote.openIn(folder, file, context, signal);
}

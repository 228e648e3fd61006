// Models on the Hugging Face hub: `org/name[@revision]`. The revision is first resolved to a commit, whose files never
// change: what is cached of it needs no second look, and no load mixes two versions.

import { ModelError } from "../../errors.ts";
import type { ByteFile, Folder } from "./bytes.ts";
import type { ListedFile } from "./choices.ts";
import { isObject } from "./bytes.ts";
import { deleteCached, openCached, readNote, writeNote } from "./cache.ts";
import { refuseForbidden, Unreachable } from "./http.ts";
import type { Network } from "./http.ts";

export interface HubId {
  /** "org/name". */
  id: string;
  /** Branch, tag or commit. */
  revision: string;
}

/** Null if `text` is no hub id. */
export function parseHubId(text: string): HubId | null {
  const [, id, revision = "main"] = /^(\w[\w.-]*\/\w[\w.-]*)(?:@(\w[\w./-]*))?$/.exec(text) ?? [];
  return id === undefined ? null : { id, revision };
}

/** `https://huggingface.co/org/name[/tree/revision]` as an id, null for any other URL. */
export function parseHubUrl(url: URL, hubUrl: string): HubId | null {
  if (url.origin !== new URL(hubUrl).origin) return null;
  const [, id, revision = "main"] = /^\/([\w.-]+\/[\w.-]+)(?:\/tree\/([^/]+))?\/?$/.exec(url.pathname) ?? [];
  return id === undefined ? null : { id, revision: decodeURIComponent(revision) };
}

/** A revision as the hub resolved it. */
interface Snapshot {
  commit: string;
  /** All file names, or null where the hub did not list them. */
  files: readonly string[] | null;
}

/** Where models are looked for, and with what. */
interface Hub {
  /** Without a slash at the end. */
  hubUrl: string;
  network: Network;
  caches: CacheStorage | undefined;
  signal: AbortSignal | undefined;
}

/**
 * Throws ModelError if there is no such model, it is gated, or the hub cannot be reached and nothing is cached. `mostBytes`:
 * of a GGUF file to propose.
 */
export async function openHub({ id, revision }: HubId, hub: Hub & { mostBytes: number }): Promise<Folder> {
  const { hubUrl, network, caches, mostBytes } = hub;
  const snapshot = await resolve({ id, revision }, hub);
  const root = `${hubUrl}/${id}/resolve/${encodeURIComponent(snapshot?.commit ?? revision)}/`;
  return {
    name: id,
    ggufs: async () => {
      if (!snapshot?.files?.some((path) => /\.gguf$/i.test(path))) return [];
      const { ggufChoices } = await import("./choices.ts");
      return ggufChoices(await listed(id, snapshot.commit, snapshot.files, hub), root, mostBytes);
    },
    open: async (path, signal): Promise<ByteFile | null> => {
      if (snapshot?.files && !snapshot.files.includes(path)) return null;
      const isImmutable = snapshot !== null;
      return openCached(caches, network, root + encodeURIComponent(path), { isImmutable, signal });
    },
  };
}

/** The files with their sizes, which only the tree of a commit has; without sizes where the hub does not tell. */
async function listed(id: string, commit: string, files: readonly string[], hub: Hub): Promise<ListedFile[]> {
  const url = `${hub.hubUrl}/api/models/${id}/tree/${commit}?recursive=true`;
  const { body } = await hub.network.json(url, hub.signal, 1).catch(() => ({ body: null }));
  const entries: unknown[] = Array.isArray(body) ? body : [];
  const sizes = new Map(entries.filter(isObject).map(({ path, size }) => [path, size]));
  return files.map((path) => {
    const size = sizes.get(path);
    return { path, bytes: typeof size === "number" ? size : null };
  });
}

/** Null from a mirror without the hub's API: then the revision is used by name. */
async function resolve({ id, revision }: HubId, { hubUrl, network, caches, signal }: Hub): Promise<Snapshot | null> {
  const url = `${hubUrl}/api/models/${id}/revision/${encodeURIComponent(revision)}`;
  const remembered = parseSnapshot(await readNote(caches, url));
  if (remembered?.commit === revision) return remembered;
  try {
    const { response, body } = await network.json(url, signal, remembered ? 1 : undefined);
    refuseAbsent(response, { id, revision });
    const snapshot = parseSnapshot(isObject(body) ? { commit: body["sha"], files: namesOf(body["siblings"]) } : null);
    if (!snapshot) return null;
    await writeNote(caches, url, snapshot);
    if (remembered && remembered.commit !== snapshot.commit) {
      await deleteCached(caches, `${hubUrl}/${id}/resolve/${remembered.commit}/`);
    }
    return snapshot;
  } catch (error) {
    if (error instanceof Unreachable && remembered) return remembered;
    throw error;
  }
}

function refuseAbsent(response: Response, { id, revision }: HubId): void {
  const code = response.headers.get("x-error-code");
  // The hub answers 401 for what does not exist, so as not to tell private models from absent ones.
  if (response.status === 401 || code === "RepoNotFound") {
    throw new ModelError(
      `hub: no public model of this name; got ${id}, want org/name. Is it spelt right, or private?`,
      {
        code: "not-public",
      },
    );
  }
  if (code === "RevisionNotFound") {
    throw new ModelError(`hub: ${id} has no such revision; got ${revision}, want a branch, tag or commit.`, {
      code: "not-found",
    });
  }
  refuseForbidden(response, `hub: ${id}`);
}

/** From the cache or the hub; null for anything else than a commit with or without file names. */
function parseSnapshot(value: unknown): Snapshot | null {
  if (!isObject(value) || typeof value["commit"] !== "string" || !/^[0-9a-f]{40}$/.test(value["commit"])) return null;
  const files = value["files"];
  const isList = Array.isArray(files) && files.every((file): file is string => typeof file === "string");
  return { commit: value["commit"], files: isList ? files : null };
}

const namesOf = (siblings: unknown): unknown =>
  Array.isArray(siblings)
    ? siblings.map((sibling: unknown) => (isObject(sibling) ? sibling["rfilename"] : null))
    : null;

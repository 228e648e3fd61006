// Models on the Hugging Face hub: `org/name[@revision]`. The revision is first resolved to a commit, whose files never
// change: what is kept of it needs no second look, and no load mixes two versions. Large files are kept under their SHA-256,
// so that a commit that changes other files does not download them again.

import { isObject, ModelError } from "../../errors.ts";
import type { ByteFile, Folder } from "./bytes.ts";
import type { ListedFile } from "./choices.ts";
import { openCached } from "./cached.ts";
import type { HubId } from "./hubid.ts";
import { type Network, refuseForbidden, Unreachable } from "./network.ts";
import type { Listing, Shelf } from "./shelf.ts";

/** A file of a commit. */
interface HubFile extends ListedFile {
  /** Of large files the hub knows it. */
  sha256: string | null;
}

/** A revision as the hub resolved it. */
interface Snapshot {
  commit: string;
  /** Null where the hub did not list them. */
  files: readonly HubFile[] | null;
}

/** Where models are looked for, and with what. */
interface Hub {
  /** Without a slash at the end. */
  hubUrl: string;
  network: Network;
  shelf: Shelf;
  /** By file, as the caller knows them. */
  sha256: Readonly<Record<string, string>>;
  signal: AbortSignal | undefined;
}

/**
 * Throws ModelError if there is no such model, it is gated, or the hub cannot be reached and nothing is kept. `mostBytes`:
 * of a GGUF file to propose.
 */
export async function openHub(
  { id, revision }: HubId,
  hub: Hub & { mostBytes: number; listing?: Listing },
): Promise<Folder> {
  const { network, shelf, mostBytes } = hub;
  const { snapshot, before } = await resolve({ id, revision }, hub);
  const listing = hub.listing ?? { model: id, source: revision === "main" ? id : `${id}@${revision}` };
  const root = rootOf(hub, id, snapshot?.commit ?? revision);
  return {
    name: id,
    ggufs: async () => {
      if (!snapshot?.files?.some(({ path }) => /\.gguf$/i.test(path))) return [];
      const { ggufChoices } = await import("./choices.ts");
      return ggufChoices(snapshot.files, root, mostBytes);
    },
    open: async (path, signal): Promise<ByteFile | null> => {
      const file = snapshot?.files?.find((each) => each.path === path);
      if (snapshot?.files && !file) return null;
      const sha256 = hub.sha256[path] ?? file?.sha256 ?? null;
      return openCached(shelf, network, root + addressOf(path), {
        listing,
        isImmutable: snapshot !== null,
        sha256,
        bytes: file?.bytes ?? null,
        ...(file && snapshot ? { key: keyOf(hub, id, snapshot.commit, file) } : {}),
        signal,
      });
    },
    settle: async () => {
      if (before && snapshot) await dropOutdated(hub, id, before);
    },
  };
}

const rootOf = ({ hubUrl }: Hub, id: string, commit: string): string =>
  `${hubUrl}/${id}/resolve/${encodeURIComponent(commit)}/`;

const notesOf = ({ hubUrl }: Hub, id: string): string => `${hubUrl}/api/models/${id}/revision/`;

/** Under which a file of a commit is kept: whatever the commit, where its contents are known. */
const keyOf = (hub: Hub, id: string, commit: string, { path, sha256 }: HubFile): string =>
  rootOf(hub, id, sha256 ? `sha256:${sha256}` : commit) + addressOf(path);

const addressOf = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

/** Deletes the files of a commit that a revision has left, unless another revision that is kept has them too. */
async function dropOutdated(hub: Hub, id: string, before: Snapshot): Promise<void> {
  const keysOf = ({ commit, files }: Snapshot) => files?.map((file) => keyOf(hub, id, commit, file)) ?? [];
  const kept = (await hub.shelf.notes(notesOf(hub, id))).map(parseSnapshot);
  const used = new Set(kept.flatMap((snapshot) => (snapshot ? keysOf(snapshot) : [])));
  await hub.shelf.delete(keysOf(before).filter((key) => !used.has(key)));
}

/**
 * `snapshot` is null from a mirror without the hub's API: then the revision is used by name. `before`: another one, which
 * the revision was when it was last loaded.
 */
async function resolve(
  { id, revision }: HubId,
  hub: Hub,
): Promise<{ snapshot: Snapshot | null; before: Snapshot | null }> {
  const { network, shelf, signal } = hub;
  const note = notesOf(hub, id) + encodeURIComponent(revision);
  const remembered = parseSnapshot(await shelf.readNote(note)) ?? (await pinned({ id, revision }, hub));
  if (remembered?.commit === revision) return { snapshot: remembered, before: null };
  try {
    const { response, body } = await network.json(`${note}?blobs=true`, signal, remembered ? 1 : undefined);
    refuseAbsent(response, { id, revision });
    const snapshot = parseSnapshot(isObject(body) ? { commit: body["sha"], files: filesOf(body["siblings"]) } : null);
    if (!snapshot) return { snapshot: null, before: null };
    await shelf.writeNote(note, { model: id, ...snapshot });
    return { snapshot, before: remembered && remembered.commit !== snapshot.commit ? remembered : null };
  } catch (error) {
    if (error instanceof Unreachable && remembered) return { snapshot: remembered, before: null };
    throw error;
  }
}

/** A commit that another revision was resolved to. */
async function pinned({ id, revision }: HubId, hub: Hub): Promise<Snapshot | null> {
  if (!/^[0-9a-f]{40}$/.test(revision)) return null;
  const kept = (await hub.shelf.notes(notesOf(hub, id))).map(parseSnapshot);
  return kept.find((snapshot) => snapshot?.commit === revision) ?? null;
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

/** From storage or the hub; null for anything else than a commit with or without files. */
function parseSnapshot(value: unknown): Snapshot | null {
  if (!isObject(value) || typeof value["commit"] !== "string" || !/^[0-9a-f]{40}$/.test(value["commit"])) return null;
  const files = value["files"];
  const isList = Array.isArray(files) && files.every((file): file is HubFile => typeof file?.path === "string");
  return { commit: value["commit"], files: isList ? files : null };
}

const filesOf = (siblings: unknown): unknown =>
  Array.isArray(siblings) ? siblings.map((sibling: unknown) => fileOf(isObject(sibling) ? sibling : {})) : null;

function fileOf({ rfilename, size, lfs }: Record<string, unknown>): object {
  const sha256 = isObject(lfs) ? lfs["sha256"] : null;
  return {
    path: rfilename,
    bytes: typeof size === "number" ? size : null,
    sha256: typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256) ? sha256 : null,
  };
}

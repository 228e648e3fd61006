// How models and files of the Hugging Face hub are named.

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

/** The address of a file on the hub, as its page about the file or as a download; null for any other. */
export function parseHubFile(url: URL, hubUrl: string): (HubId & { path: string }) | null {
  if (url.origin !== new URL(hubUrl).origin) return null;
  const [, id, revision, path] = /^\/([\w.-]+\/[\w.-]+)\/(?:resolve|blob)\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
  return id === undefined ? null : { id, revision: decodeURIComponent(revision!), path: decodeURIComponent(path!) };
}

// What the files of one load have in common.

import type { Network } from "./network.ts";
import type { Platform, Shelf } from "./shelf.ts";

/** Where sources are looked for. */
export interface SourceContext {
  network: Network;
  /** Whether downloads are kept, and in what; undefined: what the browser has. */
  keep: boolean;
  platform: Platform | undefined;
  /** Where downloads are kept: there once the first file from elsewhere is opened (remote.ts). */
  shelf: Shelf | null;
  /** By file, as the caller knows them. */
  sha256: Readonly<Record<string, string>>;
  /** Without a slash at the end. */
  hubUrl: string;
  /** Of a file to propose. */
  mostBytes: number;
  signal: AbortSignal | undefined;
}

/** Of the page's own origin, or of no other: such files are near and may change at any time, so only others are kept. */
export const isOwn = ({ origin }: URL): boolean => ["null", Reflect.get(globalThis, "origin")].includes(origin);

/** The SHA-256 that the caller gave for a file; null where there is none. */
export const hashOf = ({ pathname }: URL, { sha256 }: Pick<SourceContext, "sha256">): string | null =>
  sha256[decodeURIComponent(pathname.split("/").at(-1)!)] ?? null;

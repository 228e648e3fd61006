// Conversations kept in this browser. Where it refuses storage, they last as long as the page.

import { createStore, del, entries, get, set, type UseStore } from "idb-keyval";
import type { KeptTurn } from "./thread.ts";

export interface Kept {
  id: string;
  /** As the user named it. */
  title?: string;
  /** The model that answered last. `source`: null where it came from the user's disk. */
  model: { source: string | null; name: string };
  /** Of all branches: see Thread. */
  turns: readonly KeptTurn[];
  /** Place of the last turn on view. Left out: the last one. */
  leaf?: number;
  /** Milliseconds since 1970. */
  changed: number;
}

let store: UseStore | null = null;

/** `work` with the database; `otherwise` where there is none. */
async function withStore<T>(work: (own: UseStore) => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work((store ??= createStore("longprompt-conversations", "conversations")));
  } catch {
    return otherwise;
  }
}

export const keep = (kept: Kept): Promise<void> => withStore((own) => set(kept.id, kept, own), undefined);
export const forget = (id: string): Promise<void> => withStore((own) => del(id, own), undefined);
export const recall = (id: string): Promise<Kept | undefined> =>
  withStore((own) => get<Kept>(id, own), undefined as Kept | undefined);

/** All of them, the latest first. */
export async function conversations(): Promise<Kept[]> {
  const all = await withStore((own) => entries<string, Kept>(own), []);
  return all.map(([, kept]) => kept).toSorted((a, b) => b.changed - a.changed);
}

/** Its name, else what it is about: the beginning of its first question. */
export function titleOf({ title, turns }: Pick<Kept, "title" | "turns">): string {
  const [first] = turns;
  const name = title ?? (first?.content.trim() || first?.documents?.[0]?.name || "New conversation");
  return name.length > 70 ? `${name.slice(0, 69).trimEnd()}…` : name;
}

const LAST = "longprompt.model";

/** The model that was loaded last, if it can be loaded again by its name. */
export function lastModel(): { source: string; name: string } | null {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(LAST) ?? "null");
    const { source, name } = (value ?? {}) as Record<string, unknown>;
    return typeof source === "string" && typeof name === "string" ? { source, name } : null;
  } catch {
    return null;
  }
}

export function rememberModel(model: { source: string; name: string }): void {
  try {
    localStorage.setItem(LAST, JSON.stringify(model));
  } catch {
    // Private windows may refuse storage.
  }
}

const USES = "longprompt.uses";

export interface ModelUse {
  /** When it was loaded last, in milliseconds since 1970. */
  used: number;
  parameters: number;
}

/** By the source that `load` was given. */
export function usesOf(): Record<string, ModelUse> {
  try {
    return (JSON.parse(localStorage.getItem(USES) ?? "{}") ?? {}) as Record<string, ModelUse>;
  } catch {
    return {};
  }
}

export function noteUse(source: string, parameters: number): void {
  try {
    localStorage.setItem(USES, JSON.stringify({ ...usesOf(), [source]: { used: Date.now(), parameters } }));
  } catch {
    // Private windows may refuse storage.
  }
}

// Small facts kept between visits (IndexedDB). Where there is no IndexedDB, nothing is remembered.
import { createStore, get, set, type UseStore } from "idb-keyval";

/** Facts about one adapter, under its fingerprint. Never throws: a fact that cannot be kept is measured again. */
export function remembered(fingerprint: string) {
  let store: UseStore | null = null;
  try {
    if (globalThis.indexedDB) store = createStore("longprompt", "facts");
  } catch {
    store = null; // storage is blocked in private windows and sandboxed frames
  }
  const name = (key: string) => `${fingerprint} ${key}`;
  return {
    async get(key: string): Promise<string | undefined> {
      if (!store) return undefined;
      const value: unknown = await get(name(key), store).catch(() => undefined);
      return typeof value === "string" ? value : undefined;
    },
    async set(key: string, value: string): Promise<void> {
      if (store) await set(name(key), value, store).catch(() => {});
    },
  };
}

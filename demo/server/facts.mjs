// What the engine found out about this machine's adapter, kept from one command to the next: each has a browser profile of its own.

import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The database of src/io/remember.ts. */
const DATABASE = "longprompt";
/** Where tools keep what may be deleted at any time. */
const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "../../node_modules/.cache/longprompt");
const FILE = join(FOLDER, "facts.json");

/** A new browser context for pages of `origin` that knows what is kept. A file that cannot be used counts as none.
 * @param {import("playwright").Browser} browser
 * @param {string} origin servers take any free port, so the facts are kept without it
 * @returns {Promise<import("playwright").BrowserContext>} */
export async function contextWithFacts(browser, origin) {
  try {
    const indexedDB = JSON.parse(await readFile(FILE, "utf8"));
    return await browser.newContext({
      storageState: { cookies: [], origins: [{ origin, localStorage: [], indexedDB }] },
    });
  } catch {
    return browser.newContext();
  }
}

/** Keeps what pages of the context have found out. It is measured again where it cannot be kept.
 * @param {import("playwright").BrowserContext} context */
export async function keepFacts(context) {
  try {
    const { origins } = await context.storageState({ indexedDB: true });
    const found = origins.flatMap(({ indexedDB = [] }) => indexedDB).filter(({ name }) => name === DATABASE);
    if (found.length === 0) return;
    await mkdir(FOLDER, { recursive: true });
    const own = `${FILE}.${process.pid}`;
    await writeFile(own, JSON.stringify(found));
    await rename(own, FILE); // whole at any time, whatever other command reads it
  } catch {
    // a browser that has ended, or a folder that may not be written to
  }
}

// Serves checkpoints made by tests as hub folders below /golden/<name>/, without writing them anywhere.
import type { Page } from "playwright";

type Files = Map<string, Uint8Array>;

/** `make` is called once for each name that the page asks for. Returns what stops serving. */
export async function serveFolders(page: Page, make: (name: string) => Files): Promise<() => Promise<void>> {
  const made = new Map<string, Files>();
  await page.route("**/golden/*/*", (route) => {
    const [, name, file] = new URL(route.request().url()).pathname.match(/golden\/([^/]+)\/([^/]+)$/)!;
    if (!made.has(name!)) made.set(name!, make(decodeURIComponent(name!)));
    const bytes = made.get(name!)!.get(file!);
    return bytes ? route.fulfill({ body: Buffer.from(bytes) }) : route.fulfill({ status: 404 });
  });
  return () => page.unroute("**/golden/*/*");
}

// Before the workers start: they would all install the browser at once.
import { findBrowser } from "../demo/server/browser.mjs";

export default async function setup(): Promise<void> {
  await findBrowser();
}

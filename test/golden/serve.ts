// What tests of checkpoints share: serving those that tests make as hub folders below /golden/<name>/, without writing
// them anywhere; asking for their tokens; comparing log-probabilities.
import type { Page } from "playwright";
import type { Job } from "../harness.ts";
import { test } from "../page.ts";
import type { Golden } from "./checkpoint.ts";

type Files = Map<string, Uint8Array>;

/** Tests in whose page the checkpoint that `make` makes of a name is at `source(name)`. */
export const testWith = (make: (name: string) => Files) =>
  test.extend<{ goldens: null }>({
    goldens: [
      async ({ harness }, use) => {
        const stop = await serveFolders(harness, make);
        await use(null);
        await stop();
      },
      { auto: true },
    ],
  });

export const source = (name: string) => `/golden/${name}/`;

/** `maxTokens` tokens after `prompt`, greedy unless `options` say otherwise. */
export const job = (prompt: readonly number[], maxTokens: number, options: Job["options"] = {}): Job => ({
  prompt: { tokens: prompt },
  options: { maxTokens, ignoreEnd: true, ...options },
});

/** Largest difference; NaN where one is missing. A null is not wanted. */
export const worst = (got: readonly number[], want: ArrayLike<number | null>): number =>
  Math.max(...Array.from(want, (value, i) => (value === null ? 0 : Math.abs(got[i]! - value))));

/**
 * Error of a log-probability in f32: each of ~10 roundings per layer moves the logits by about 2⁻²⁴·√width of their
 * size. transformers itself differs by `float32Gap` when it computes in f32; four times that allows for another order
 * of summation.
 */
export const tolerance = ({ float32Gap }: Pick<Golden, "float32Gap">): number => 4 * float32Gap;

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

// Damaged checkpoints through the whole of load() in the page: each loads and replies, or is refused by name.
import { expect } from "playwright/test";
import { makeCheckpoint } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { damage } from "./io/damage.ts";
import { test } from "./page.ts";

const BATCH = 25;

export function fuzz(first: number, count: number): void {
  test(`${count} damaged checkpoints: none hangs, none crashes the tab`, async ({ call, harness }) => {
    const whole = toFiles(makeCheckpoint("llama-gqa-tied"), "F32");
    await harness.route("**/damaged/*/*", (route) => {
      const [, seed, file] = new URL(route.request().url()).pathname.match(/damaged\/(\d+)\/([^/]+)$/)!;
      const bytes = damage([whole], Number(seed)).files.get(file!);
      return bytes ? route.fulfill({ body: Buffer.from(bytes) }) : route.fulfill({ status: 404 });
    });
    const seen = new Map<string, number[]>();
    for (let seed = first; seed < first + count; seed += BATCH) {
      const seeds = Array.from({ length: Math.min(BATCH, first + count - seed) }, (_, i) => seed + i);
      const found = await call(
        "outcomes",
        seeds.map((each) => `/damaged/${each}/`),
      );
      for (const [i, outcome] of found.entries()) seen.set(outcome, [...(seen.get(outcome) ?? []), seeds[i]!]);
    }
    await harness.unroute("**/damaged/*/*");
    console.log([...seen].map(([outcome, seeds]) => `${outcome}: ${seeds.length}`).join(", "));
    const strange = [...seen].filter(([outcome]) => !["loaded", "ModelError", "UnsupportedError"].includes(outcome));
    expect(strange).toEqual([]);
    expect(seen.size).toBeGreaterThan(1); // both outcomes occur, or the damage says nothing
  });
}

// Damaged files: each of 1,000 mutations opens and reads, or throws one of our errors, in bounded time and memory.

import { expect, test } from "playwright/test";
import { ModelError, UnsupportedError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { Silence } from "../silence.ts";
import { damage, type Files } from "./damage.ts";
import { asFiles, shardedFolder, smallFolder, smallGguf } from "./formats.ts";

const mutations = 1000;
const maxMs = 2000; // of processor time: how busy the machine is does not count
const maxReadBytes = 64 * 2 ** 20;
const maxGrowthBytes = 2 ** 30;

const sources: readonly Files[] = [smallFolder(), shardedFolder(), new Map([["tiny.gguf", smallGguf()]])];

/** Opens and reads everything; the number of bytes read, or null for an error of ours. */
async function survive(files: File[]): Promise<number | null> {
  try {
    const checkpoint = await openCheckpoint(files);
    let bytes = 0;
    for (const { name, byteLength } of checkpoint.tensors.values()) {
      expect((await checkpoint.read(name)).length).toBe(byteLength);
      bytes += byteLength;
    }
    return bytes;
  } catch (error) {
    if (error instanceof ModelError || error instanceof UnsupportedError) return null;
    throw error;
  }
}

test(`${mutations} damaged checkpoints`, async () => {
  let opened = 0;
  const bytesBefore = process.memoryUsage().rss;
  for (let seed = 0; seed < mutations; seed++) {
    const { files, what } = damage(sources, seed);
    const start = process.cpuUsage();
    let bytes: number | null = 0;
    try {
      bytes = await new Silence().guard(what, survive(asFiles(files)));
    } catch (error) {
      throw new Error(`${what}: neither opened nor refused`, { cause: error });
    }
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1000, what).toBeLessThan(maxMs);
    expect(bytes ?? 0, what).toBeLessThan(maxReadBytes);
    if (bytes !== null) opened++;
  }
  // Both outcomes must occur, or the mutations are too weak or too strong to say anything.
  expect(opened).toBeGreaterThan(mutations / 20);
  expect(opened).toBeLessThan((mutations * 19) / 20);
  // maxRSS, in KB, is the peak: a mutated count must never become an allocation.
  expect(process.resourceUsage().maxRSS * 1024 - bytesBefore).toBeLessThan(maxGrowthBytes);
  test.info().annotations.push({ type: "opened", description: `${opened} of ${mutations}` });
});

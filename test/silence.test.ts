// The limit on silence: it lets slow work end, and ends what says nothing.
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "playwright/test";
import { Silence } from "./silence.ts";

test("work that is heard of may take longer than the limit", async () => {
  const silence = new Silence(1000);
  const work = async (): Promise<string> => {
    for (let step = 0; step < 15; step++) {
      await pause(100);
      silence.heard(`step ${step}`);
    }
    return "done";
  };
  expect(await silence.guard("slow work", work())).toBe("done");
});

test("work that falls silent fails, with what was heard last", async () => {
  const silence = new Silence(600);
  const work = async (): Promise<void> => {
    await pause(50);
    silence.heard("compiled embed");
    await pause(10_000, undefined, { ref: false });
  };
  await expect(silence.guard("kernel embed", work())).rejects.toThrow(
    /^kernel embed: no progress for 1 s; the last was: compiled embed$/,
  );
});

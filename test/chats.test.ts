// Fable's own chats: what it is calibrated on where there is no text.
import { expect } from "playwright/test";
import { test } from "./page.ts";

test("chats have the template's frame and two turns; a seed repeats them, another gives others; a student is fitted to them", async ({
  call,
}) => {
  await call("open", "fable", "/demo/models/fable/", { context: 512, sequences: 1 });
  const first = await call("chats", "fable", { count: 2, seed: 5, longest: 16 });
  expect(first.length).toBe(2);
  for (const chat of first) {
    const text = await call("detokenize", "fable", chat);
    expect(text).toMatch(/<\|user\|>\n[\s\S]*<\|end\|>\n<\|assistant\|>\n[\s\S]*<\|end\|>\n$/);
    expect(text.match(/<\|user\|>/g)?.length).toBe(1);
    expect(chat.length).toBeLessThan(60);
  }
  expect(await call("chats", "fable", { count: 2, seed: 5, longest: 16 })).toEqual(first);
  expect(await call("chats", "fable", { count: 2, seed: 6, longest: 16 })).not.toEqual(first);
  const calibrate = Array.from({ length: 60 }, () => first)
    .flat(2)
    .slice(0, 800);
  await call("twin", "student", "fable", { layers: 6, group: 1 }, { calibrate });
  expect((await call("model", "student")).calibration!.r2[0]).toBeGreaterThan(0.99);
  await expect(call("chats", "fable", { count: 0 })).rejects.toThrow(/InputError: sampleChats: count; got 0/);
  for (const name of ["student", "fable"]) await call("close", name);
});

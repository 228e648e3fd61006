// A thousand chats of mixed lengths, recipes and aborts leave nothing: no page, no GPU buffer, no heap.
import { expect } from "playwright/test";
import { testWith, source } from "./golden/serve.ts";
import { memoryFiles } from "./memorycases.ts";

const test = testWith(memoryFiles);

const RECIPES = ["f16", "int8", "kivi:bits=4", "snapkv:budget=64", "pyramid:budget=64", "shadow:budget=64,reply=64"];

/** What garbage collection may leave beside what is held: compiled code, caches of the engine's own numbers. */
const HEAP_SLACK = 2 ** 20;

test("a thousand chats leave nothing behind", async ({ harness }) => {
  const devtools = await harness.context().newCDPSession(harness);
  const heap = async (): Promise<number> => {
    for (let i = 0; i < 2; i++) await devtools.send("HeapProfiler.collectGarbage");
    return (await devtools.send("Runtime.getHeapUsage")).usedSize;
  };
  const run = async <T>(name: "chat" | "fillAll" | "buffers" | "close" | "open", argument?: unknown): Promise<T> =>
    harness.evaluate(
      async ([name, argument]) => {
        const page = (await import("/test/thousand.ts" as string)) as Record<string, (argument: unknown) => unknown>;
        return (await page[name]!(argument)) as T;
      },
      [name, argument] as const,
    );
  const setting = { source: source("llama3"), recipes: RECIPES, context: 256, vocabulary: 160 };
  await run("open", setting);
  await run("chat", 300); // what grows with use has grown, what compiles late has compiled
  await run("fillAll");
  const [buffers, before] = [await run<number>("buffers"), await heap()];
  for (let i = 0; i < 10; i++) {
    const told = await run<Record<string, number>>("chat", 100);
    console.log(
      `${JSON.stringify(told)}, ${await run<number>("buffers")} buffers, heap ${((await heap()) / 1e6).toFixed(2)} MB`,
    );
  }
  expect(await run("fillAll"), "every page is free for a text as long as the context").toEqual(
    RECIPES.map(() => ["length", 8]),
  );
  expect(await run<number>("buffers")).toBe(buffers);
  expect(await heap()).toBeLessThan(before + HEAP_SLACK);
  await run("close");
  expect(await run<number>("buffers")).toBe(0);
});

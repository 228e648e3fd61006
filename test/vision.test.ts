// Models that see, against Hugging Face transformers: seeded checkpoints of Idefics3's kind.
import { expect } from "playwright/test";
import type { ChatCompletion } from "../src/api.ts";
import { fixture, questionOf, urlOf, visionFiles } from "./golden/vision.ts";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { source, testWith, tolerance, worst } from "./golden/serve.ts";

type Name = "idefics3" | "smolvlm";

const test = testWith((name) =>
  name === "llama" ? toFiles(makeCheckpoint(name), readGolden(name).dtype) : visionFiles(name as Name),
);
const options = { maxTokens: 24, ignoreEnd: true };

for (const name of ["idefics3", "smolvlm"] as const) {
  test(`${name}: a question about pictures is answered as transformers answers it`, async ({ call }) => {
    const golden = fixture[name];
    await call("open", name, source(name), { kv: "f32", context: 128 });
    expect((await call("model", name)).seesPictures).toBe(true);
    const got = await call("answer", name, { prompt: questionOf(golden), options });
    expect(got.promptTokens).toEqual(golden.ids);
    expect(got.tokens).toEqual(golden.greedy.tokens);
    expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  });
}

const other = { name: "another", width: 61, height: 29 };

test("chunks of any length give what one gives; what is seen again is found, another picture is not", async ({
  call,
}) => {
  const golden = fixture.idefics3;
  const before = golden.ids.indexOf(3); // the first row of the picture
  for (const chunk of [5, 32]) {
    await call("open", "chunked", source("idefics3"), { kv: "f32", context: 160, chunk });
    const got = await call("answer", "chunked", { prompt: questionOf(golden), options });
    expect(got.tokens, `chunk ${chunk}`).toEqual(golden.greedy.tokens);
  }
  const again = await call("answer", "chunked", { prompt: questionOf(golden), options });
  expect([again.reusedTokens, again.tokens]).toEqual([golden.ids.length - 1, golden.greedy.tokens]);
  const differs = await call("answer", "chunked", { prompt: questionOf(golden, [urlOf(other)]), options });
  expect(differs.promptTokens).toEqual(golden.ids);
  expect(differs.reusedTokens).toBe(before);
  expect(differs.tokens).not.toEqual(golden.greedy.tokens);
  const back = await call("answer", "chunked", { prompt: questionOf(golden), options });
  expect(back.tokens).toEqual(golden.greedy.tokens);
  await call("close", "chunked");
});

test("several pictures keep their places: the same one twice is not two in turn", async ({ call }) => {
  const golden = fixture.smolvlm;
  const [first, second] = golden.pictures.map(urlOf) as [string, string];
  await call("open", "two", source("smolvlm"), { kv: "f32", context: 256, sequences: 2, chunk: 8 });
  const orders = [
    [first, second],
    [second, first],
    [first, first],
  ].map((urls) => ({ prompt: questionOf(golden, urls), options }));
  const answers = await call("answers", "two", orders); // at once: their tiles take turns in one table
  expect(answers[0]!.tokens).toEqual(golden.greedy.tokens);
  const alone = [];
  for (const order of orders) alone.push((await call("answer", "two", order)).tokens);
  expect(answers.map(({ tokens }) => tokens)).toEqual(alone);
  expect(new Set(alone.map(String)).size).toBe(3);
  for (const abortAfter of [-1, 2]) {
    const cut = await call("answer", "two", { prompt: questionOf(golden, [second, second]), options, abortAfter });
    expect(cut.finish).toBe("abort");
  }
  expect((await call("answer", "two", orders[0]!)).tokens).toEqual(golden.greedy.tokens);
  await call("close", "two");
});

test("in OpenAI's shape, and in a worker", async ({ call }) => {
  const golden = fixture.idefics3;
  const [words = "", more = ""] = golden.words;
  const url = urlOf(golden.pictures[0]!);
  const content = [
    { type: "text", text: words },
    { type: "image_url", image_url: { url } },
    { type: "text", text: more },
  ] as const;
  await call("open", "worker", source("idefics3"), { kv: "f32", context: 128, worker: true });
  const { answers } = await call("complete", "worker", [
    { messages: [{ role: "user", content }], max_tokens: 24, temperature: 0 },
  ]);
  const [answer] = answers as ChatCompletion[];
  expect(answer!.choices[0]!.message.content).toBe(await call("detokenize", "worker", golden.greedy.tokens));
  expect(answer!.usage?.prompt_tokens).toBe(golden.ids.length);
  await call("close", "worker");
});

test("every form of a picture gives the same bytes; what is none is refused, as is a model that sees none", async ({
  call,
}) => {
  const found = await call("forms", urlOf(other));
  expect(new Set(Object.values(found)).size, JSON.stringify(found)).toBe(1);
  expect(
    await call("refusals", ["data:image/png;base64,AAAA", "data:image/png;base64,*", "https://no.invalid/a.png"]),
  ).toEqual([
    "InputError: image: got 3 bytes of type image/png that this browser cannot read as a picture, want a PNG, JPEG or WebP.",
    "InputError: image: got a data URL that is damaged, want base64.",
    "InputError: image: got https://no.invalid/a.png, want a URL that this page may read: its server must allow it.",
  ]);
  await call("open", "blind", source("llama"), { kv: "f32", context: 96 });
  expect((await call("model", "blind")).seesPictures).toBe(false);
  const asked = call("answer", "blind", { prompt: questionOf(fixture.idefics3), options });
  await expect(asked).rejects.toThrow("messages: this model sees no pictures; got one, want text.");
  await call("close", "blind");
});

test("a plan counts what encodes pictures, which is made with the first one", async ({ call }) => {
  const options = { kv: "f32", context: 128 } as const;
  const { loaded, full } = await call("planOf", source("idefics3"), options);
  const stats = await call("open", "planned", source("idefics3"), options);
  expect(stats.weightBytes).toBe(loaded.weightBytes);
  const before = stats.scratchBytes;
  await call("answer", "planned", { prompt: questionOf(fixture.idefics3), options: { maxTokens: 2 } });
  const after = (await call("stats", "planned")).scratchBytes;
  expect(after).toBeGreaterThan(before);
  expect(full.scratchBytes).toBeGreaterThanOrEqual(after);
  await call("close", "planned");
});

test("marks in a text are no pictures, and prompts of another kind see none", async ({ call }) => {
  await call("open", "marks", source("idefics3"), { kv: "f32", context: 128 });
  const { messages } = questionOf(fixture.idefics3);
  const marked = { messages: [...messages, { role: "user", content: "<image>" }] };
  await expect(call("answer", "marks", { prompt: marked, options })).rejects.toThrow(
    "messages: got 2 times <image> for 1 pictures, want as many.",
  );
  const beyond = call("answer", "marks", { prompt: { tokens: [1, 160] }, options });
  await expect(beyond).rejects.toThrow("prompt: got token id 160, want a whole number from 0 to 156.");
  await call("close", "marks");
});

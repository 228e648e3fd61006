// Conversations with branches, and the files that hold them.
import { expect, test } from "playwright/test";
import type { Kept } from "../../demo/chat/archive.ts";
import { fileName, jsonOf, markdownOf, readConversations } from "../../demo/chat/exchange.ts";
import { type KeptTurn, Thread, written } from "../../demo/chat/thread.ts";

const asked = (content: string): KeptTurn => ({ role: "user", content });
const replied = (content: string): KeptTurn => ({ role: "assistant", content, speaker: "Fable", thinks: true });
const words = (thread: Thread): string => thread.turns.map(({ content }) => content).join(" ");

/** q1 a1 q2 a2, then a1 again, and q2 changed after the first a1. */
function branched(): Thread {
  const thread = new Thread();
  for (const turn of [asked("q1"), replied("a1"), asked("q2"), replied("a2")]) thread.add(turn);
  thread.cut(0);
  thread.add(replied("a1'"));
  thread.show(1);
  thread.cut(1);
  thread.add(asked("q2'"));
  return thread;
}

test("branches: each version leads to what followed it", () => {
  const thread = branched();
  expect(words(thread)).toBe("q1 a1 q2'");
  expect(thread.versions(1)).toEqual([1, 4]);
  expect(thread.versions(5)).toEqual([2, 5]);
  thread.show(4);
  expect(words(thread)).toBe("q1 a1'");
  thread.show(2);
  expect(words(thread)).toBe("q1 a1 q2 a2");
  thread.show(1); // the newest of what followed it
  expect(words(thread)).toBe("q1 a1 q2'");
  expect(words(new Thread(thread.upTo(1)))).toBe("q1 a1");
  thread.withdraw(3);
  expect(words(thread)).toBe("q1 a1 q2 a2");
});

test("turns kept without a word on what they follow stand one after another", () => {
  expect(words(new Thread([asked("q1"), replied("a1"), asked("q2")]))).toBe("q1 a1 q2");
  expect(new Thread().path).toEqual([]);
});

test("documents go before the question; several bear their names", () => {
  const one = { name: "a.txt", text: "A" };
  expect(written({ content: "Why?", documents: [one] })).toBe("A\nWhy?");
  expect(written({ content: "Why?", documents: [one, { name: "b.pdf", text: "B" }] })).toBe(
    "a.txt\n\nA\n\nb.pdf\n\nB\n\nWhy?",
  );
});

const kept = (): Kept => ({
  id: "x1",
  title: "A / B: c?",
  model: { source: "org/name", name: "Name" },
  turns: branched().all,
  leaf: 3,
  changed: 5,
});

test("a file brings back what was saved, of all branches", () => {
  expect(readConversations(jsonOf([kept()]))).toEqual([kept()]);
  expect(markdownOf(kept())).toBe("# A / B: c?\n\n## You\n\nq1\n\n## Fable\n\na1\n\n## You\n\nq2\n\n## Fable\n\na2\n");
  expect(fileName(kept(), "md")).toBe("A-B-c.md");
});

test("what a reply read comes back whole, or not at all", () => {
  const passage = { from: 0, to: 32, share: 0.5, whole: false, words: "Once …" };
  const back = (read: unknown): unknown => {
    const turns = [asked("q"), { ...replied("a"), read }] as KeptTurn[];
    return readConversations(jsonOf([{ ...kept(), turns }]))[0]!.turns[1]!.read;
  };
  for (const read of ["This reply read everything.", [passage, { ...passage, whole: true }]])
    expect(back(read)).toEqual(read);
  for (const read of [[], [passage, { ...passage, words: 5 }], [null], { passage }, 5])
    expect(back(read)).toBeUndefined();
});

for (const [what, change, message] of [
  [
    "a turn that follows a later one",
    { turns: [{ ...asked("q"), parent: 3 }] },
    "turn 1 of conversation 1 follows none",
  ],
  ["a turn of another role", { turns: [{ role: "system", content: "x" }] }, "turn 1 of conversation 1 is by nobody"],
  ["words that are none", { turns: [{ role: "user", content: 5 }] }, "turn 1 of conversation 1 is no text"],
  ["no model", { model: null }, "the model of conversation 1 is no object"],
] as const) {
  test(`a file with ${what} is refused`, () => {
    const text = JSON.stringify({ ...JSON.parse(jsonOf([])), conversations: [{ ...kept(), ...change }] });
    expect(() => readConversations(text)).toThrow(message);
  });
}

test("what is no such file is refused", () => {
  expect(() => readConversations("{")).toThrow("it is no JSON");
  expect(() => readConversations("{}")).toThrow("it holds no conversations that this page saved");
});

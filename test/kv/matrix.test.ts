// Every two systems together: what src/kv/pairs.ts refuses is refused with its reason, the rest answers.
import { expect } from "playwright/test";
import { checkPairs } from "../../src/kv/pairs.ts";
import { SYSTEMS } from "../../src/kv/systems/index.ts";
import { makeCheckpoint, readGolden } from "../golden/checkpoint.ts";
import { toFiles } from "../golden/folder.ts";
import { job, source, testWith } from "../golden/serve.ts";
import { createModel } from "../reference.ts";
import { addMaps } from "./less/rule.ts";
import { addHeads } from "./locret/rule.ts";

/** With the weights of those that have some. */
const test = testWith((name) => {
  const { config, tensors } = makeCheckpoint(name);
  const model = createModel(config, tensors);
  addMaps(tensors, model);
  addHeads(tensors, model);
  return toFiles({ config, tensors }, readGolden(name).dtype);
});

/** For toy models, so that each has something to do after 100 tokens. */
const TERMS: Readonly<Record<string, string>> = {
  kivi: "kivi:bits=8,recent=32",
  kvmerger: "kvmerger:budget=50,window=8",
  locret: "locret:budget=40,stabilisers=8,local=20",
  kvsharer: "kvsharer:map=1-0",
  less: "less:budget=50,window=8",
  minicache: "minicache:start=0",
  kvzip: "kvzip:keep=0.5",
  pyramid: "pyramid:budget=50,window=8",
  shadow: "shadow:chunk=4,outliers=3,budget=16,local=16",
  snapkv: "snapkv:budget=50,window=8",
  think: "think:keep=0.6",
  vlcache: "vlcache:keep=0.3,window=8",
};

const names = SYSTEMS.map(({ name }) => name);
const pairs = names.flatMap((a, i) => names.slice(i + 1).map((b) => [a, b] as const));

test("every two systems: those that contradict each other are refused with the reason, the others answer", async ({
  call,
}) => {
  expect(Object.keys(TERMS).toSorted()).toEqual([...names].toSorted());
  const { prompt } = readGolden("llama-gqa-tied");
  const text = [...prompt, ...prompt.toReversed()];
  for (const [a, b] of pairs) {
    const kv = `f32+${TERMS[a]}+${TERMS[b]}`;
    const opened = call("open", "pair", source("llama-gqa-tied"), { kv, context: 256, chunk: 64 });
    const refused = checkPairs([a, b]).find(({ verdict }) => verdict === "refused");
    if (refused) {
      await expect(opened, kv).rejects.toThrow(`kv: ${refused.text}`);
      continue;
    }
    await opened;
    const got = await call("answer", "pair", job(text, 34));
    expect(got.tokens.length, kv).toBe(34);
    expect(
      got.logprobs.every((value) => value <= 0),
      kv,
    ).toBe(true);
  }
  await call("close", "pair");
});

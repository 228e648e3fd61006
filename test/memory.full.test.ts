// The long cases of memory.test.ts.
import { testWith } from "./golden/serve.ts";
import { expectNothingLeft, expectPlanned, expectSameSplit, memoryFiles } from "./memorycases.ts";

const test = testWith(memoryFiles);

test("the plan is what is allocated: other caches and weights", ({ call }) =>
  expectPlanned(call, [
    ["quantised weights and pages", "llama-blocks", { weights: "q4", kv: "int4" }],
    ["parts of prompts", "llama3", { kv: "snapkv:budget=128", chunk: 64 }],
    ["what stands for prompts", "llama3", { kv: "shadow:budget=64", chunk: 64 }],
    ["a trained SwiftKV model", "llama-swiftkv-g3", {}],
  ]));

test("quantised matrices that cannot be bound at once are split, and the model says the same", ({ call }) =>
  expectSameSplit(call, "q8"));

test("whichever allocation of a load fails, nothing is left: all of them", ({ call }) => expectNothingLeft(call, 1));

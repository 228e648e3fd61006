// Partials and weights of a system: every head also sees a token that the checkpoint brings along.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden, toSafetensors } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel, type HeadView, logSoftmax } from "../../reference.ts";
import { greedyReply } from "../greedy.ts";

/** The value of a layer's ghost. */
const ghostOf = (layer: number, E: number): Float32Array =>
  Float32Array.from({ length: E }, (_, e) => Math.sin(3 * layer + e));

/** `name`, or `name@ghost` with the vectors; `name@<base>@<system>@<layers>` has them in a file of their own. */
function filesOf(name: string) {
  const [variant, ghost, system, layers] = name.split("@");
  const { config, tensors } = makeCheckpoint(variant!);
  const { L, E } = createModel(config, tensors).shape;
  const ghosts = Array.from({ length: Number(layers ?? L) }, (_, layer) => {
    return [`ghost.${layer}`, { shape: [E] as number[], data: ghostOf(layer, E) }] as const;
  });
  const own = { system: system ?? "", base: ghost ?? "" };
  if (system) return new Map([["trained.safetensors", toSafetensors(new Map(ghosts), "F32", own)]]);
  for (const [tensor, values] of ghost ? ghosts : []) tensors.set(tensor, values);
  return toFiles({ config, tensors }, readGolden(variant!).dtype);
}

const trained = (variant: string, base: string, system = "ghost", layers = "") =>
  `${source(`${variant}@${base}@${system}${layers && `@${layers}`}`)}trained.safetensors`;

const test = testWith(filesOf);

/** Attention of one head with a key of score 0 beside those of the store. */
function attendGhost({ query, keys, values, begin }: HeadView, ghost: ArrayLike<number>): Float64Array {
  const E = query.length;
  const scores = keys.slice(begin).map((key) => key.reduce((sum, k, e) => sum + k * query[e]!, 0) / Math.sqrt(E));
  const weights = logSoftmax(Float64Array.from([...scores, 0])).map(Math.exp);
  const all = [...values.slice(begin), ghost];
  return query.map((_, e) => weights.reduce((sum, weight, i) => sum + weight * all[i]![e]!, 0));
}

for (const variant of ["llama-gqa-tied", "mistral"] as const) {
  test(`${variant}: a partial of the system's own, in chunks, batches and decoding`, async ({ call }) => {
    const golden = readGolden(variant);
    const { config, tensors } = makeCheckpoint(variant);
    const model = createModel(config, tensors);
    const { E } = model.shape;
    const attendHead = (head: HeadView) => attendGhost(head, ghostOf(head.owner, E));
    const want = greedyReply(model, golden.prompt, 24, { attendHead });
    for (const settings of [{ chunk: 64 }, { chunk: 7, arenaBytes: 4096 }]) {
      await call("open", "ghost", source(`${variant}@ghost`), { kv: "f32+ghost", context: 256, ...settings });
      const got = await call("answers", "ghost", [job(golden.prompt, 24), job(golden.prompt, 24)]);
      for (const { tokens, logprobs } of got) {
        expect(tokens).toEqual(want.tokens);
        expect(worst(logprobs, want.logprobs)).toBeLessThan(tolerance(golden));
      }
    }
    await call("close", "ghost");
  });
}

test("weights in a file of their own: at load, and beside a model that is there", async ({ call }) => {
  const variant = "llama-gqa-tied";
  const { prompt } = readGolden(variant);
  const options = { kv: "f32+ghost", context: 256 };
  await call("open", "whole", source(`${variant}@ghost`), options);
  const { hash } = await call("model", "whole");
  const want = await call("answer", "whole", job(prompt, 12));
  await call("open", "loaded", source(variant), { ...options, trained: trained(variant, hash) });
  await call("open", "dense", source(variant), { kv: "f32", context: 256 });
  await call("twin", "beside", "dense", false, { kv: "f32+ghost", trained: [trained(variant, hash)] });
  await call("twin", "again", "beside", false, { kv: "f32+ghost" }); // what was read stays with it
  for (const name of ["loaded", "beside", "again"]) {
    const { tokens, logprobs } = await call("answer", name, job(prompt, 12));
    expect({ tokens, logprobs }).toEqual({ tokens: want.tokens, logprobs: want.logprobs });
  }
  for (const name of ["again", "beside", "dense", "loaded", "whole"]) await call("close", name);
});

test("weights that are not there, or not those of the model, are named", async ({ call }) => {
  const variant = "llama-gqa-tied";
  const options = { kv: "f32+ghost", context: 128 };
  const open = (more: object = {}) => call("open", "bare", source(variant), { ...options, ...more });
  await expect(open()).rejects.toThrow(/InputError: kv: ghost; got no weights of ghost for this model, want those/);
  await call("open", "dense", source(`${variant}@ghost`), { kv: "f32", context: 128 });
  const { hash } = await call("model", "dense");
  const twin = call("twin", "student", "dense", { layers: 1, group: 1 }, { kv: "f32+ghost" });
  await expect(twin).rejects.toThrow(/InputError: kv: ghost; got no weights/);
  for (const [file, message] of [
    [
      trained(variant, "f00d"),
      /ModelError: \S*trained\.safetensors: ghost of another model; got .*, want weights f00d/,
    ],
    [trained(variant, hash, "ghoul"), /InputError: kv: ghost; got no weights/],
    [trained(variant, hash, "ghost", "1"), /ModelError: \S*trained\.safetensors: ghost\.1 of ghost; got none, want 8/],
    [`${source(variant)}none.safetensors`, /ModelError: trained: not found; got no none\.safetensors/],
    [
      `${source(variant)}model.safetensors`,
      /ModelError: \S*model\.safetensors: weights of no cache system; got metadata/,
    ],
    [[trained(variant, hash), trained(variant, hash)], /InputError: trained: ghost; got two files/],
  ] as const) {
    await expect(open({ trained: file })).rejects.toThrow(message);
    await expect(call("twin", "other", "dense", false, { kv: "f32+ghost", trained: file })).rejects.toThrow(message);
  }
  await call("close", "dense");
});

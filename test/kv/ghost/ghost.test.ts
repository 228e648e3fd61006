// Partials and weights of a system: every head also sees a token that the checkpoint brings along.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel, type HeadView, logSoftmax } from "../../reference.ts";
import { greedyReply } from "../greedy.ts";

/** The value of a layer's ghost. */
const ghostOf = (layer: number, E: number): Float32Array =>
  Float32Array.from({ length: E }, (_, e) => Math.sin(3 * layer + e));

/** `name`, or `name@ghost` with the vectors. */
function filesOf(name: string) {
  const [variant, ghost] = name.split("@");
  const { config, tensors } = makeCheckpoint(variant!);
  const { L, E } = createModel(config, tensors).shape;
  const ghosts = ghost ? Array.from({ length: L }, (_, layer) => ghostOf(layer, E)) : [];
  for (const [layer, data] of ghosts.entries()) tensors.set(`ghost.${layer}`, { shape: [E], data });
  return toFiles({ config, tensors }, readGolden(variant!).dtype);
}

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

test("weights that are not there are named; a converted model cannot have them", async ({ call }) => {
  const bare = call("open", "bare", source("llama-gqa-tied"), { kv: "f32+ghost", context: 128 });
  await expect(bare).rejects.toThrow(/ModelError: weights: tensor ghost\.0 is missing/);
  await call("open", "dense", source("llama-gqa-tied@ghost"), { kv: "f32", context: 128 });
  const twin = call("twin", "student", "dense", { layers: 1, group: 1 }, { kv: "f32+ghost" });
  await expect(twin).rejects.toThrow(/InputError: kv: ghost; got a model converted from another one/);
  await call("close", "dense");
});

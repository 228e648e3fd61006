// A student and its base as one checkpoint in the public layout of SwiftKV.
import { expect } from "playwright/test";
import type { SwiftKv } from "../src/index.ts";
import { makeCheckpoint, readGolden, readSafetensors } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { source, testWith, worst } from "./golden/serve.ts";
import { createModel, score, type HubConfig } from "./reference.ts";

/** Checkpoints that tests made, by the name under which they are served. */
const made = new Map<string, Map<string, Uint8Array>>();

function filesOf(name: string): Map<string, Uint8Array> {
  const own = made.get(name);
  if (own) return own;
  const [variant, change] = name.split("@");
  const checkpoint = makeCheckpoint(variant!);
  if (change) checkpoint.tensors.get("model.layers.0.mlp.up_proj.weight")!.data[0]! += 1;
  return toFiles(checkpoint, readGolden(variant!).dtype);
}

const test = testWith(filesOf);

const textOf = (vocabulary: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => 3 + ((i * i * 7 + i * 31 + (i >> 3)) % (vocabulary - 3)));

const decoded = (files: Record<string, string>): Map<string, Uint8Array> =>
  new Map(Object.entries(files).map(([name, base64]) => [name, new Uint8Array(Buffer.from(base64, "base64"))]));

const jsonOf = (files: Map<string, Uint8Array>, name: string): unknown =>
  JSON.parse(new TextDecoder().decode(files.get(name)));

const CASES: readonly (readonly [variant: string, shape: SwiftKv, type: string])[] = [
  ["llama-gqa-tied", { layers: 1, group: 1 }, "llama_swiftkv"],
  ["llama", { layers: 1, group: 2 }, "llama_swiftkv"],
  ["llama-bias", { layers: 2, group: 1 }, "llama_swiftkv"],
  ["qwen2", { layers: 1, group: 2 }, "qwen2_swiftkv"],
];

for (const [variant, shape, type] of CASES) {
  test(`${variant}, K ${shape.layers}, G ${shape.group}: the checkpoint scores as the student does, here and by the oracle`, async ({
    call,
  }) => {
    const { vocab_size, attention_bias } = makeCheckpoint(variant).config;
    const text = textOf(Number(vocab_size), 700);
    const hasBiases = attention_bias === true || variant === "qwen2";
    await call("open", "dense", source(variant), { kv: "f32", context: 128 });
    const how = { calibrate: text.slice(0, 640), window: 64, constant: hasBiases };
    await call("twin", "student", "dense", shape, how);
    const files = decoded(await call("checkpointOf", "student", source(variant)));
    expect([...files.keys()]).toEqual(["model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"]);
    expect(jsonOf(files, "config.json")).toMatchObject({
      model_type: type,
      swiftkv: true,
      num_key_value_layers: shape.layers,
      key_value_group_size: shape.group,
    });
    const tensors = readSafetensors(files.get("model.safetensors")!);
    for (const [name, { data }] of makeCheckpoint(variant).tensors) expect(tensors.get(name)!.data, name).toEqual(data);
    const held = text.slice(640);
    const want = (await call("score", "student", held)).slice(1);
    const oracle = score(createModel(jsonOf(files, "config.json") as HubConfig, tensors), held).slice(1);
    // The same f16 weights and f32 arithmetic, in other orders.
    expect(worst(want, oracle)).toBeLessThan(2e-4);
    made.set(`${variant}-full`, files);
    await call("open", "loaded", source(`${variant}-full`), { kv: "f32", context: 128 });
    expect(await call("model", "loaded")).toMatchObject({ swiftkv: shape, undistilled: false });
    expect(worst((await call("score", "loaded", held)).slice(1), want)).toBeLessThan(1e-5);
    for (const name of ["dense", "student", "loaded"]) await call("close", name);
  });
}

test("what the public layout has no place for is refused before any file, another base before config.json", async ({
  call,
}) => {
  const calibrate = textOf(100, 500);
  const refuse = async (variant: string, options: object, from: string, message: RegExp) => {
    await call("open", "dense", source(variant), { context: 128 });
    await call("twin", "student", "dense", { layers: 1, group: 1 }, options);
    await expect(call("checkpointOf", "student", source(from))).rejects.toThrow(message);
    for (const name of ["dense", "student"]) await call("close", name);
  };
  const plain = { calibrate, window: 64, constant: false };
  await refuse(
    "llama",
    { calibrate, window: 64 },
    "llama",
    /InputError: saveCheckpoint: llama; got a student with biases/,
  );
  await refuse(
    "mistral",
    plain,
    "mistral",
    /InputError: saveCheckpoint: mistral; got MistralForCausalLM, want one of Llama/,
  );
  await refuse(
    "llama",
    plain,
    "llama@other",
    /ModelError: saveCheckpoint: llama@other; got weights [0-9a-f]{12}, want those of/,
  );
  await refuse("llama", {}, "llama", /InputError: saveCheckpoint: got a model that was not calibrated or trained here/);
});

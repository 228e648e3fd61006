// Sources and folders, and real models.

import { openAsBlob, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "playwright/test";
import type { ModelSource } from "../../src/api.ts";
import { InputError, ModelError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { folderHolding, skipWithout, SMOLLM2, SMOLLM2_GGUF, STORIES } from "../material.ts";
import { expectError } from "./failure.ts";
import { asFile, asFiles, encode, smallConfig, smallFolder, smallGguf } from "./formats.ts";
import { serve } from "./server.ts";

/** smallFolder with other or (null) absent files. */
function folderWith(changes: Record<string, string | null>): File[] {
  const files = smallFolder();
  for (const [name, content] of Object.entries(changes)) {
    if (content === null) files.delete(name);
    else files.set(name, encode(content));
  }
  return asFiles(files);
}

test("a folder: config, generation config, tokenizer, template", async () => {
  const checkpoint = await openCheckpoint(asFiles(smallFolder()));
  expect(checkpoint.config).toEqual(smallConfig());
  expect(checkpoint.generationConfig).toEqual({ eos_token_id: [3] });
  expect(checkpoint.tokenizer?.json).toEqual({ model: { type: "BPE" } });
  expect(checkpoint.tokenizer?.config).toEqual({ chat_template: "{{ messages }}" });
  expect(checkpoint.chatTemplate).toBe("{{ messages }}");
  expect(checkpoint.gguf).toBeNull();
});

test("what may be absent, and what may not", async () => {
  const absent = { "generation_config.json": null, "tokenizer_config.json": null, "tokenizer.json": null };
  const checkpoint = await openCheckpoint(folderWith(absent));
  expect([checkpoint.generationConfig, checkpoint.tokenizer, checkpoint.chatTemplate]).toEqual([{}, null, null]);
  await expectError(openCheckpoint(folderWith({ "model.safetensors": null })), ModelError, "no weights", "index.json");
});

const template = async (changes: Record<string, string | null>) =>
  (await openCheckpoint(folderWith(changes))).chatTemplate;

const tokenizerConfig = (value: unknown) => ({ "tokenizer_config.json": JSON.stringify({ chat_template: value }) });

test("the chat template: a file, a string, a list", async () => {
  expect(await template({ "chat_template.jinja": "from file" })).toBe("from file");
  const tool = { name: "tool_use", template: "tools" };
  expect(await template(tokenizerConfig([tool, { name: "default", template: "plain" }]))).toBe("plain");
  expect(await template(tokenizerConfig([tool, 3]))).toBeNull();
  expect(await template(tokenizerConfig(null))).toBeNull();
  await expectError(template(tokenizerConfig(3)), ModelError, "tokenizer_config.json", "chat_template", "got 3");
});

const OLDER = {
  "special_tokens_map.json": '{"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}}',
  "added_tokens.json": '{"<x>": 4}',
};

test("special_tokens_map.json wins over tokenizer_config.json, added_tokens.json is read beside it", async () => {
  const config = (fields: object) => ({ ...OLDER, "tokenizer_config.json": JSON.stringify(fields) });
  const read = async (fields: object) => (await openCheckpoint(folderWith(config(fields)))).tokenizer;
  const old = await read({ bos_token: "other", pad_token: "<pad>" });
  const eos = { content: "</s>", lstrip: false };
  expect(old?.config).toEqual({ bos_token: "<s>", eos_token: eos, pad_token: "<pad>" });
  expect(old?.added).toEqual({ "<x>": 4 });
  const fresh = await read({ bos_token: "own", added_tokens_decoder: {} });
  expect([fresh?.config["bos_token"], fresh?.config["eos_token"], fresh?.added]).toEqual(["own", undefined, {}]);
});

test("where one cannot see which files there are, older ones are asked for only if names are missing", async () => {
  for (const [fields, asked] of [
    [{ eos_token: "</s>" }, false],
    [{}, true],
  ] as const) {
    const files = smallFolder().set("tokenizer_config.json", encode(JSON.stringify(fields)));
    for (const [name, content] of Object.entries(OLDER)) files.set(name, encode(content));
    const base = "https://models.example/tiny";
    const server = serve(new Map([...files].map(([name, bytes]) => [`${base}/${name}`, bytes])));
    await openCheckpoint(base, { fetch: server.fetch });
    expect(server.log.some(({ url }) => url.endsWith("special_tokens_map.json"))).toBe(asked);
  }
});

const JSON_FILES = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];

test("damaged JSON is named", async () => {
  for (const name of [...JSON_FILES, ...Object.keys(OLDER)]) {
    for (const content of ["", "{", "[]", "null", '"x"']) {
      await expectError(openCheckpoint(folderWith({ [name]: content })), ModelError, name);
    }
  }
});

test("picked files: a nested folder, a single GGUF, neither", async () => {
  const nested = asFiles(smallFolder()).map((file) => {
    Object.defineProperty(file, "webkitRelativePath", { value: `parent/tiny/${file.name}` });
    return file;
  });
  const deeper = asFile("{}", "config.json");
  Object.defineProperty(deeper, "webkitRelativePath", { value: "parent/tiny/original/config.json" });
  expect((await openCheckpoint([deeper, ...nested])).name).toBe("tiny");
  const gguf = asFile(smallGguf(), "tiny.Q4_0.gguf");
  expect((await openCheckpoint([gguf])).name).toBe("tiny.Q4_0");
  await expectError(openCheckpoint([gguf, asFile(smallGguf(), "b.gguf")]), InputError, "got 2 files");
  await expectError(openCheckpoint([asFile("x", "readme.md")]), InputError, "readme.md");
  await expectError(openCheckpoint([]), InputError, "got 0 files");
  const list = Object.assign({ length: 1, item: () => gguf }, [gguf]) as unknown as FileList;
  expect((await openCheckpoint(list)).tensors.size).toBe(11);
});

test("a file that cannot be read any more", async () => {
  class Gone extends File {
    override slice(): Blob {
      return { arrayBuffer: () => Promise.reject(new DOMException("changed", "NotReadableError")) } as unknown as Blob;
    }
  }
  await expectError(
    openCheckpoint([new Gone(["x".repeat(1000)], "a.gguf")]),
    ModelError,
    "a.gguf",
    "Pick the file again",
  );
});

const handle = (files: readonly File[]) => {
  const entries = files.map((file) => ({ kind: "file", name: file.name, getFile: async () => file }));
  return {
    name: "dropped",
    getFileHandle: async (name: string) => {
      const found = entries.find((entry) => entry.name === name);
      if (!found) throw new DOMException("none", "NotFoundError");
      return found;
    },
    values: async function* () {
      yield* entries;
    },
  } as unknown as FileSystemDirectoryHandle;
};

test("a directory handle", async () => {
  const folder = await openCheckpoint(handle(asFiles(smallFolder())));
  expect([folder.name, folder.tensors.size]).toEqual(["dropped", 3]);
  expect((await openCheckpoint(handle([asFile(smallGguf(), "a.gguf")]))).name).toBe("a");
  await expectError(openCheckpoint(handle([])), InputError, "got 0 files");
});

test("sources that are none", async () => {
  for (const source of ["", "model", "a b/c", "a/b/c", "/models/x/", null, 3, [3], {}]) {
    await expectError(openCheckpoint(source as ModelSource), InputError, "got");
  }
});

test("ways to write a directory's URL", async () => {
  const base = "https://models.example/tiny";
  const files = new Map([...smallFolder()].map(([name, bytes]) => [`${base}/${name}`, bytes]));
  const server = serve(files);
  for (const url of [base, `${base}/`, `${base}/config.json`]) {
    const checkpoint = await openCheckpoint(url, { fetch: server.fetch });
    expect([checkpoint.name, checkpoint.tensors.size], url).toEqual(["tiny", 3]);
  }
});

// Real models

/** `wanted`: a file that the folder must have. */
async function openReal(name: string, wanted: string, only?: RegExp) {
  skipWithout(name, wanted);
  const folder = folderHolding(name, wanted)!;
  const names = readdirSync(folder).filter((file) => only?.test(file) ?? file.includes("."));
  const files = await Promise.all(
    names.map(async (file) => new File([await openAsBlob(join(folder, file))], basename(file))),
  );
  return openCheckpoint(files);
}

async function readAll(checkpoint: Awaited<ReturnType<typeof openCheckpoint>>): Promise<number> {
  let bytes = 0;
  for (const name of checkpoint.tensors.keys()) bytes += (await checkpoint.read(name)).length;
  return bytes;
}

test("fable", async () => {
  const checkpoint = await openReal("fable", "config.json");
  expect(checkpoint.config).toMatchObject({ hidden_size: 192, num_hidden_layers: 8, vocab_size: 4096 });
  expect(checkpoint.generationConfig).toMatchObject({ eos_token_id: [4, 0] });
  expect(checkpoint.chatTemplate).toContain("<|assistant|>");
  expect(checkpoint.tensors.size).toBe(74);
  expect(checkpoint.tensors.get("model.layers.7.mlp.down_proj.weight")).toMatchObject({
    shape: [192, 512],
    type: "F16",
  });
  expect(await readAll(checkpoint)).toBe(7878728 - 8 - 7872);
});

test("stories260K", async () => {
  const checkpoint = await openReal(STORIES, "config.json");
  expect(checkpoint.config).toMatchObject({ hidden_size: 64, num_hidden_layers: 5 });
  expect(checkpoint.tensors.size).toBe(47);
  expect(checkpoint.tensors.get("model.embed_tokens.weight")).toMatchObject({ shape: [512, 64], type: "F32" });
  expect(await readAll(checkpoint)).toBe(1045400 - 8 - 5264);
});

test("SmolLM2-135M-Instruct, GGUF", async () => {
  const checkpoint = await openReal(SMOLLM2, SMOLLM2_GGUF, /\.gguf$/);
  expect(checkpoint.name).toBe("SmolLM2-135M-Instruct.Q4_1");
  expect(checkpoint.config).toEqual({
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    head_dim: 64,
    vocab_size: 49152,
    max_position_embeddings: 8192,
    rms_norm_eps: Math.fround(1e-5),
    rope_theta: 100000,
    rope_scaling: null,
    tie_word_embeddings: true,
    attention_bias: false,
    attention_output_bias: false,
    mlp_bias: false,
    bos_token_id: 1,
  });
  expect(checkpoint.generationConfig).toEqual({ bos_token_id: 1, eos_token_id: [2] });
  expect(checkpoint.chatTemplate).toContain("<|im_start|>");
  expect(checkpoint.gguf?.get("tokenizer.ggml.tokens")).toHaveLength(49152);
  expect(checkpoint.gguf?.get("tokenizer.ggml.merges")).toHaveLength(48900);
  const types = [...checkpoint.tensors.values()].map(({ type }) => type);
  const counts = ["Q4_1", "F32", "Q8_0"].map((type) => types.filter((other) => other === type).length);
  expect(counts).toEqual([210, 61, 1]);
  const q = checkpoint.tensors.get("model.layers.0.self_attn.q_proj.weight");
  expect(q).toMatchObject({ shape: [576, 576], type: "Q4_1", byteLength: 207360, interleavedHeads: 9 });
  expect(checkpoint.tensors.get("model.layers.0.self_attn.k_proj.weight")?.interleavedHeads).toBe(3);
  expect(await readAll(checkpoint)).toBe(checkpoint.totalBytes);
});

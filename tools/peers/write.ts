// Writes a random model as a folder that transformers.js loads: node test/native.mjs --entry tools/peers/write.ts SHAPE FOLDER
import { mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { argv, exit } from "node:process";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { randomModel } from "../shapes/file.ts";
import { shapeNamed } from "../shapes/shapes.ts";
import { graphOf } from "./graph.ts";
import { onnxFile } from "./onnx.ts";

const [name, folder] = argv.slice(2) as [string, string];
const shape = shapeNamed(name);
if (!shape || shape.architecture !== "llama") throw new Error(`peers: got ${name}, want a llama among the shapes.`);
const checkpoint = await openCheckpoint([randomModel(shape)]);
mkdirSync(join(folder, "onnx"), { recursive: true });
const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: shape.hiddenSize,
  intermediate_size: shape.intermediateSize,
  num_hidden_layers: shape.layers,
  num_attention_heads: shape.heads,
  num_key_value_heads: shape.kvHeads,
  head_dim: shape.headWidth,
  vocab_size: shape.vocabulary,
  max_position_embeddings: 2048,
  rope_theta: shape.ropeBase,
  tie_word_embeddings: true,
  bos_token_id: null,
  eos_token_id: null,
};
writeFileSync(join(folder, "config.json"), JSON.stringify(config));
writeFileSync(join(folder, "generation_config.json"), "{}");
const file = openSync(join(folder, "onnx/model_q4.onnx"), "w");
for (const piece of onnxFile(await graphOf(checkpoint, shape))) writeSync(file, piece);
exit(0);

// What a checkpoint says beside its weights: configuration, language, sampling.
import type { LoadOptions, Sampling, SwiftKv } from "../api.ts";
import type { Language } from "../chat/session.ts";
import { InputError, ModelError } from "../errors.ts";
import type { Checkpoint } from "../io/checkpoint.ts";
import { sameShape } from "../kv/systems/swiftkv/layout.ts";
import { type ModelConfig, parseConfig } from "../model/config.ts";
import type { RopeTensors } from "../model/rotation.ts";
import { toFloats } from "../model/weights/loader.ts";
import { Tokenizer, type TokenizerFiles } from "../text/tokenizer.ts";
import { checkShape } from "./settings.ts";

/**
 * The configuration to load, and the SwiftKV shape to convert the model to afterwards, if any.
 */
export async function readConfig(
  checkpoint: Checkpoint,
  swiftkv: LoadOptions["swiftkv"],
): Promise<{ config: ModelConfig; student: SwiftKv | null }> {
  const rope = await readRope(checkpoint);
  const parse = (trained: boolean): Promise<ModelConfig> =>
    parseConfig(checkpoint.config, { rope, swiftkv: trained, preprocessor: checkpoint.preprocessor });
  const config = await parse(swiftkv !== false);
  if (swiftkv === true && !config.swiftkv) {
    throw new InputError(
      `swiftkv: got true, but ${checkpoint.name} is an ordinary model. Give { layers, group } to convert it.`,
    );
  }
  if (typeof swiftkv !== "object" || sameShape(config.swiftkv, swiftkv)) return { config, student: null };
  return { config: await parse(false), student: checkShape(swiftkv, config) };
}

/** A GGUF carries RoPE scaling of llama3 and longrope as divisors in tensors. */
async function readRope(checkpoint: Checkpoint): Promise<RopeTensors> {
  const names = { freqs: "rope_freqs", short: "rope_factors_short", long: "rope_factors_long" } as const;
  const rope: Partial<Record<keyof RopeTensors, number[]>> = {};
  for (const [kind, name] of Object.entries(names) as [keyof RopeTensors, string][]) {
    const tensor = checkpoint.tensors.get(`${name}.weight`);
    if (tensor) rope[kind] = [...toFloats(tensor.type, await checkpoint.read(tensor.name))];
  }
  return rope;
}

/** Tokenizer, chat template and end tokens. `onFiles` gets what they are made of. */
export async function readLanguage(
  checkpoint: Checkpoint,
  onFiles: (files: TokenizerFiles, template: string | null) => void = () => {},
): Promise<Language> {
  const { tokenizer, gguf, chatTemplate, generationConfig, config, name, preprocessor } = checkpoint;
  const files = tokenizer ?? (gguf && (await import("../text/gguf.ts")).tokenizerFromGguf(gguf));
  if (!files) throw new ModelError(`${name}: no tokenizer; got no tokenizer.json, want one beside config.json.`);
  const made = await Tokenizer.create(files);
  onFiles(files, chatTemplate);
  const template = chatTemplate === null ? null : await readTemplate(chatTemplate, made.specials);
  const ends = [generationConfig.eos_token_id, config.eos_token_id].flat().filter((id) => typeof id === "number");
  const named = made.specials.eos_token === undefined ? null : made.idOf(made.specials.eos_token);
  const byText = gguf ? endsByText(made) : [];
  const endTokens = new Set([...ends, ...(named === null ? [] : [named]), ...byText]);
  return { tokenizer: made, template, endTokens, preprocessor };
}

async function readTemplate(source: string, specials: Tokenizer["specials"]): Promise<Language["template"]> {
  const { ChatTemplate } = await import("../text/chat.ts");
  return new ChatTemplate(source, specials);
}

/** Control tokens with which models end a turn, as llama.cpp knows them: a GGUF often names another one only. */
const TURN_ENDS = [
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|return|>",
  "<|call|>",
  "<|eom_id|>",
  "<end_of_turn>",
  "<start_function_response>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<end_of_utterance>",
  "<EOT>",
  "_<EOT>",
  "< EOT >",
];

const endsByText = (tokenizer: Tokenizer): number[] =>
  TURN_ENDS.flatMap((text) => {
    const id = tokenizer.idOf(text);
    return id !== null && tokenizer.isSpecial(id) ? [id] : [];
  });

/** Sampling from generation_config.json. do_sample: false means greedy, whatever temperature says. */
export function samplingDefaults(generation: Readonly<Record<string, unknown>>): Sampling {
  if (generation.do_sample !== true) return { temperature: 0 };
  const names = {
    temperature: "temperature",
    top_k: "topK",
    top_p: "topP",
    min_p: "minP",
    repetition_penalty: "repetitionPenalty",
  } as const;
  const entries = Object.entries(names).map(([theirs, ours]) => [ours, generation[theirs]] as const);
  return { temperature: 1, ...Object.fromEntries(entries.filter(([, value]) => typeof value === "number")) };
}

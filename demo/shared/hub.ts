// The models of the hub that the picker offers. No DOM.

import type { ModelSource } from "../../src/index.ts";

export interface Choice {
  name: string;
  note: string;
  /** Of the download, and its precision where the name does not say it. */
  size: string;
  source: ModelSource;
}

/** A file of a repository on the hub. */
const file = (repository: string, name: string): string => `https://huggingface.co/${repository}/resolve/main/${name}`;

/** In 4 bits: a third of the download that the same checkpoints in 16 are. */
export const hub: readonly Choice[] = [
  {
    name: "SmolLM2 135M",
    note: "The smallest that chats. Simple questions, short texts.",
    size: "105 MB, 4-bit",
    source: file("bartowski/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct-Q4_K_M.gguf"),
  },
  {
    name: "SmolLM2 360M",
    note: "Steadier answers at a small size.",
    size: "271 MB, 4-bit",
    source: file("bartowski/SmolLM2-360M-Instruct-GGUF", "SmolLM2-360M-Instruct-Q4_K_M.gguf"),
  },
  {
    name: "Qwen2.5 0.5B",
    note: "Many languages, long context.",
    size: "491 MB, 4-bit",
    source: file("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q4_k_m.gguf"),
  },
  {
    name: "Llama 3.2 1B",
    note: "The most capable here. Wants a GPU with 2\u00a0GB or more.",
    size: "808 MB, 4-bit",
    source: file("bartowski/Llama-3.2-1B-Instruct-GGUF", "Llama-3.2-1B-Instruct-Q4_K_M.gguf"),
  },
];

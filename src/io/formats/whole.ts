// All that reads GGUF: fetched with the first such file.
import type { ByteFile } from "../files/bytes.ts";
import { readWholeGguf } from "./parts.ts";
import { translateGguf } from "./translate.ts";

/** What a checkpoint is made of, in a GGUF. */
export async function openGguf(opened: ByteFile, signal?: AbortSignal) {
  const { gguf, file } = await readWholeGguf(opened, signal);
  const { config, generationConfig, chatTemplate, tensors } = translateGguf(gguf, file);
  return {
    name: decodeURIComponent(/([^/]*?)(-\d{5}-of-\d{5})?(\.gguf)?(\?.*)?$/i.exec(file.name)?.[1] ?? "") || "model",
    config,
    generationConfig,
    tokenizer: null,
    chatTemplate,
    preprocessor: null,
    gguf: new Map([...gguf.metadata].filter(([key]) => key.startsWith("tokenizer."))),
    tensors,
    others: new Map(),
  };
}

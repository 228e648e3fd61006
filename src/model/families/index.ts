// The families, and which one a config.json is of.
import { UnsupportedError } from "../../errors.ts";
import type { Reader } from "../reader.ts";
import type { Family } from "./family.ts";
import { gemma3 } from "./gemma3.ts";
import { granite } from "./granite.ts";
import { llama, mistral, qwen2, qwen3 } from "./llama.ts";
import { ministral3 } from "./ministral3.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { smollm3 } from "./smollm3.ts";

export const families: readonly Family[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma3,
  granite,
  olmo2,
  smollm3,
  phi3,
  ministral3,
];

const swiftkvOf = (architecture: string): string => architecture.replace("ForCausalLM", "SwiftKVForCausalLM");

/**
 * By `model_type`, as transformers does: fine-tunes give their class names of their own. The class where there is no known
 * type, or where it alone says SwiftKV.
 */
export function familyOf(config: Reader): { architecture: string; family: Family } {
  const named = config.list("architectures")[0];
  const type = config.text("model_type", "?");
  const forms = families.flatMap((family) => {
    const plain = { architecture: family.architecture, type: family.type, family };
    const swift = { architecture: swiftkvOf(family.architecture), type: `${family.type}_swiftkv`, family };
    return family.swiftkv ? [plain, swift] : [plain];
  });
  const byClass = forms.find(({ architecture }) => architecture === named);
  const byType = forms.find((form) => form.type === type);
  const isSwift = byClass?.architecture.includes("SwiftKV");
  const found = isSwift ? byClass : (byType ?? byClass);
  if (found) return found;
  const names = forms.map(({ architecture }) => architecture).join(", ");
  const got = typeof named === "string" ? named : type === "?" ? "(none)" : type;
  throw new UnsupportedError(`config.json: architecture ${got} is not supported; want one of ${names}.`);
}

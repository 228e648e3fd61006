// The families, and which one a config.json is of.
import { UnsupportedError } from "../../errors.ts";
import type { Reader } from "../reader.ts";
import type { Family } from "./family.ts";
import { llama, mistral, qwen2, qwen3 } from "./llama.ts";

/** Llama and what differs from it in a switch. */
export const LLAMAS: readonly Family[] = [llama, mistral, qwen2, qwen3];

const swiftkvOf = (architecture: string): string => architecture.replace("ForCausalLM", "SwiftKVForCausalLM");

/** A family under one of its names. */
interface Form {
  architecture: string;
  type: string;
  family: Family;
}

const formsOf = (families: readonly Family[]): Form[] =>
  families.flatMap((family) => {
    const plain = { architecture: family.architecture, type: family.type, family };
    const swift = { architecture: swiftkvOf(family.architecture), type: `${family.type}_swiftkv`, family };
    return family.swiftkv ? [plain, swift] : [plain];
  });

function formIn(forms: readonly Form[], named: unknown, type: string): Form | undefined {
  const byClass = forms.find(({ architecture }) => architecture === named);
  const byType = forms.find((form) => form.type === type);
  const isSwift = byClass?.architecture.includes("SwiftKV");
  return isSwift ? byClass : (byType ?? byClass);
}

/**
 * By `model_type`, as transformers does: fine-tunes give their class names of their own. The class where there is no known
 * type, or where it alone says SwiftKV.
 */
export async function familyOf(config: Reader): Promise<Form> {
  const named = config.list("architectures")[0];
  const type = config.text("model_type", "?");
  const known = formsOf(LLAMAS);
  const soon = formIn(known, named, type);
  if (soon && soon.type === type) return soon;
  const { OTHERS } = await import("./others.ts");
  const forms = [...known, ...formsOf(OTHERS)];
  const found = formIn(forms, named, type);
  if (found) return found;
  const names = forms.map(({ architecture }) => architecture).join(", ");
  const got = typeof named === "string" ? named : type === "?" ? "(none)" : type;
  throw new UnsupportedError(`config.json: architecture ${got} is not supported; want one of ${names}.`);
}

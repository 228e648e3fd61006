// Families other than Llama and those that are nearly it: fetched with the first such model.
import type { Family } from "./family.ts";
import { gemma3 } from "./gemma3.ts";
import { granite } from "./granite.ts";
import { ministral3 } from "./ministral3.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { smollm3 } from "./smollm3.ts";

export const OTHERS: readonly Family[] = [gemma3, granite, olmo2, smollm3, phi3, ministral3];

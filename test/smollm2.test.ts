// SmolLM2-135M-Instruct as a GGUF: golden tokens of the short cases.
import { smollm2 } from "./smollm2.ts";

smollm2("short prompts", ({ prompt }) => prompt.length <= 70, { score: false });

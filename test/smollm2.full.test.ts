// SmolLM2-135M-Instruct as a GGUF: the long golden cases and the scored text. Minutes on a CPU adapter.
import { smollm2 } from "./smollm2.ts";

smollm2("long prompts", ({ prompt }) => prompt.length > 70, { score: true });

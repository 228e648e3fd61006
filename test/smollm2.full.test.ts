// SmolLM2-135M-Instruct as a GGUF: the other golden cases and the scored text. Minutes on a CPU adapter.
import { smollm2 } from "./smollm2.ts";

smollm2("all others", ({ name }) => name !== "chat-system-two-turns", { score: true });

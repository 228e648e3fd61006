// SmolLM2-135M-Instruct as a GGUF: golden tokens of a short conversation.
import { smollm2 } from "./smollm2.ts";

smollm2("a conversation", ({ name }) => name === "chat-system-two-turns", { score: false });

// What ShadowKV does on the GPU and between steps: fetched with the first model whose recipe has it.
export { ChunkReads, withCounts } from "./attended.ts";
export { betweenSteps } from "./between.ts";
export { recallChunks } from "./decode.ts";
export { takePrompt } from "./prompt.ts";
export { takePage } from "./retire.ts";
export { stateAccess } from "./saved.ts";

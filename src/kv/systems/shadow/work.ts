// What ShadowKV does on the GPU and between steps: fetched with the first model whose recipe has it.
export { betweenSteps } from "./between.ts";
export { recallChunks } from "./decode.ts";
export { takePrompt } from "./prompt.ts";

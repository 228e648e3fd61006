// All that reads GGUF: fetched with the first such file.
export { readWholeGguf } from "./parts.ts";
export { translateGguf } from "./translate.ts";

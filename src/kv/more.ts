// Fetched where a recipe has systems: parts of prompts and what stands for them, streamed prompts, pages that change their format.
export { Choices } from "./choices.ts";
export { Sealer } from "./edits.ts";
export { LaterPool } from "./later.ts";
export { keptMoves } from "./moves.ts";
export { PagePool } from "./pages.ts";
export { PrivateLists } from "./private.ts";
export { StreamedBuffers } from "./streamed.ts";

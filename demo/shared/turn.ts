import type { Message } from "../../src/index.ts";

/** A message of plain text: the only kind that the demo reads and writes. */
export type Turn = Message & { content: string };

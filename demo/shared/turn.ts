import type { Message } from "../../src/index.ts";

/** A message of plain text: the only kind that the demo reads and writes. */
export type Turn = { role: Message["role"]; content: string };

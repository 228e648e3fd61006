import type { Message } from "../../src/index.ts";

/** A message of plain text: the only kind that the demo reads and writes. */
export type Turn = { role: Message["role"]; content: string };

/** A text that goes before a question. */
export interface Document {
  /** As it is shown, e.g. "report.pdf, pages 3 to 10". */
  name: string;
  text: string;
}

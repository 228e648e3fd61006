import type { Message } from "../../src/index.ts";

/** A message of plain text, with pictures as data URLs before it. */
export type Turn = { role: Message["role"]; content: string; pictures?: readonly string[] };

/** A text or picture that goes before a question. */
export interface Document {
  /** As it is shown, e.g. "report.pdf, pages 3 to 10". */
  name: string;
  /** "" of a picture. */
  text: string;
  /** A data URL. */
  picture?: string;
}

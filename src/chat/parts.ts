// Parts of messages that are pictures. What prepares them is fetched with the first one.
import type { ChatPrompt, ContentPart, Message, PictureSource, Prompt } from "../api.ts";
import type { Picture } from "../model/model.ts";

/** A prompt that has been read: its tokens, and what those beyond the vocabulary are. */
export interface SeenPrompt {
  tokens: number[];
  pictures: Picture[];
  /** The same as texts have it: one token for all rows. */
  shown: number[];
}

/** Reads prompts with pictures; of each engine one, so that it tells them apart. */
export interface PictureReader {
  read(prompt: ChatPrompt): Promise<SeenPrompt>;
}

/** The picture of a part; null: it is another part. */
export const pictureOf = (part: ContentPart): PictureSource | null =>
  part?.type === "image" && "image" in part ? (part["image"] as PictureSource) : null;

export const hasPictures = (prompt: Prompt): boolean =>
  "messages" in prompt &&
  Array.isArray(prompt.messages) &&
  prompt.messages.some(({ content }) => Array.isArray(content) && content.some((part) => pictureOf(part) !== null));

/** Without the pictures themselves: what templates read, which write a mark for each. */
export const plainMessages = (messages: readonly Message[]): Message[] =>
  messages.map((message) =>
    Array.isArray(message.content)
      ? { ...message, content: message.content.map((part) => (pictureOf(part) === null ? part : { type: "image" })) }
      : message,
  );

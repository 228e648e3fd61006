// Pictures that go with a question: chosen, pasted or dropped. They are kept as data URLs, so that a conversation is plain data.

import { find, make } from "../shared/dom.ts";
import type { Document } from "../shared/turn.ts";

/** Bytes of a picture; with its conversation it is kept in the browser. */
const MOST_BYTES = 20e6;

/** A document that is a picture, or a sentence where it cannot be. */
export async function pictureDocument(file: File): Promise<Document | string> {
  if (file.size > MOST_BYTES) return `${file.name} is larger than 20 MB.`;
  const isPicture = await createImageBitmap(file).then(
    (bitmap) => (bitmap.close(), true),
    () => false,
  );
  if (!isPicture) return `${file.name} cannot be read as a picture.`;
  return { name: file.name, text: "", picture: await dataUrl(file) };
}

function dataUrl(file: File): Promise<string> {
  const reader = new FileReader();
  return new Promise((resolve, reject) => {
    reader.addEventListener("load", () => resolve(String(reader.result)));
    reader.addEventListener("error", () => reject(reader.error ?? new Error(`${file.name} cannot be read.`)));
    reader.readAsDataURL(file);
  });
}

/** `className`: as a thumbnail, or as it was sent. */
export const pictureElement = ({ name, picture }: Document, className: string): HTMLElement =>
  make("img", { className, src: picture ?? "", alt: name });

/** Connects the button and the file dialog behind it. `show`: whether the model sees. */
export function pictureButton(take: (files: readonly File[]) => Promise<void>): { show(sees: boolean): void } {
  const button = find("picture-button", HTMLButtonElement);
  const input = find("picture-files", HTMLInputElement);
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    void take([...(input.files ?? [])]);
    input.value = ""; // the same one again is a change, too
    find("composer-text", HTMLTextAreaElement).focus();
  });
  return {
    show(sees) {
      button.hidden = !sees;
    },
  };
}

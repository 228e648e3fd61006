// Files that are dropped outside of the zone for models: texts and PDFs go into the box, models are loaded, others refused.

import type { ModelSource } from "../../src/index.ts";
import { find } from "../shared/dom.ts";
import { fileKind, isReadable, wrongFile } from "../shared/dropped.ts";
import type { Documents } from "./documents.ts";
import type { Place } from "./places.ts";
import type { State } from "./state.ts";

interface Parts {
  state: State;
  documents: Documents;
  goTo: (place: Place) => void;
  onModel: (source: ModelSource, name: string) => void;
}

/** Listens to the whole page. `refuse` says what a file is, and what to drop instead. */
export function incoming({ state, documents, goTo, onModel }: Parts): { refuse(file: File): Promise<void> } {
  const trouble = find("picker-trouble", HTMLElement);
  const refuse = async (file: File): Promise<void> => {
    const card = wrongFile(file.name, await fileKind(file), () => use(file));
    goTo(null);
    trouble.replaceChildren(card);
    card.scrollIntoView({ block: "nearest" });
  };
  /** It waits in the box where no model is loaded yet. */
  const use = async (file: File): Promise<void> => {
    await documents.take([file]);
    trouble.replaceChildren();
    if (state.engine && state.id !== null) goTo(state.id);
    else find("picker-list", HTMLElement).querySelector("button")?.focus();
  };
  const take = async (files: readonly File[]): Promise<void> => {
    const [file] = files;
    if (!file) return;
    const kinds = await Promise.all(files.map(fileKind));
    const inChat = state.engine !== null && !find("chat", HTMLElement).hidden;
    const isTaken = kinds.some((kind) => isReadable(kind) || (kind === "picture" && state.engine?.model.seesPictures));
    if (isTaken && inChat) await documents.take(files);
    else if (kinds[0] === "model") onModel([file], file.name.replace(/\.gguf$/i, ""));
    else await refuse(file);
  };
  // A file that misses the drop zone would otherwise replace the page.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    if (event.defaultPrevented) return; // the zone has it
    event.preventDefault();
    void take([...(event.dataTransfer?.files ?? [])]);
  });
  return { refuse };
}

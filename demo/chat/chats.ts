// The conversations: the one on view is kept as it changes; all can be renamed, saved as files, deleted and brought back.

import { find, saveFile } from "../shared/dom.ts";
import { count } from "../shared/numbers.ts";
import type { Document } from "../shared/turn.ts";
import { conversations, forget, keep, type Kept, titleOf } from "./archive.ts";
import { fileName, jsonOf, markdownOf, readConversations } from "./exchange.ts";
import { keptList } from "./kept.ts";
import { menu, type MenuItem } from "./menu.ts";
import { newPlace } from "./places.ts";
import type { State } from "./state.ts";
import { Thread } from "./thread.ts";

interface Parts {
  state: State;
  onOpen: (kept: Kept) => unknown;
  /** The one on view was deleted. */
  onGone: () => unknown;
}

export interface Chats {
  /** Keeps the conversation on view, and shows its name. */
  save(): void;
  showTitle(): void;
  /** Draws the lists again. */
  refresh(): void;
}

/** Connects #kept, #chats-list, #chat-head and the dialog for names. */
export function chats({ state, onOpen, onGone }: Parts): Chats {
  find("rename-cancel", HTMLButtonElement).addEventListener("click", () =>
    find("rename-dialog", HTMLDialogElement).close(),
  );
  let deleted: Kept | null = null;
  let said = "";

  const showTitle = (): void => {
    const kept = recordOf(state);
    const title = kept ? titleOf(kept) : "New conversation";
    find("chat-title", HTMLElement).textContent = title;
    document.title = kept ? `${title} · longprompt` : "longprompt";
    find("chat-head", HTMLElement).classList.toggle("unseen", !kept);
    const items = kept ? itemsOf(() => recordOf(state) ?? kept) : [];
    find("chat-menu", HTMLElement).replaceChildren(...(kept ? [menu("More about this conversation", items)] : []));
  };
  const save = (): void => {
    showTitle();
    const kept = recordOf(state);
    if (kept) void keep(kept).then(refresh);
    else if (state.id !== null) void forget(state.id).then(refresh);
  };
  const rename = async (kept: Kept): Promise<void> => {
    const title = await askName(titleOf(kept));
    if (title === null) return;
    if (kept.id === state.id) {
      state.title = title;
      return save();
    }
    await keep({ ...kept, title });
    refresh();
  };
  const remove = async (kept: Kept): Promise<void> => {
    [deleted, said] = [kept, ""];
    await forget(kept.id);
    if (kept.id === state.id) await onGone();
    refresh();
  };
  const undo = async (): Promise<void> => {
    if (deleted) await keep(deleted);
    deleted = null;
    refresh();
  };
  const itemsOf = (kept: () => Kept): readonly MenuItem[] => [
    { label: "Rename", onChoose: () => rename(kept()) },
    { label: "Save as Markdown", onChoose: () => saveText(markdownOf(kept()), fileName(kept(), "md")) },
    { label: "Save as JSON", onChoose: () => saveText(jsonOf([kept()]), fileName(kept(), "json")) },
    { label: "Delete", onChoose: () => remove(kept()) },
  ];
  const bring = async (file: File): Promise<void> => {
    try {
      const fresh = await imported(readConversations(await file.text()));
      said = fresh === 1 ? "One conversation imported." : `${count(fresh)} conversations imported.`;
    } catch (error) {
      said = `${file.name} was not imported: ${error instanceof Error ? error.message : String(error)}.`;
    }
    refresh();
  };
  const actions = {
    open: onOpen,
    items: (kept: Kept) => itemsOf(() => kept),
    deleted: () => deleted,
    onUndo: undo,
    onImport: bring,
    onExportAll: async () => saveText(jsonOf(await conversations()), "conversations.json"),
    said: () => said,
  };
  // On the models page a newcomer has nothing to look for.
  const lists = (["kept", "chats-list"] as const).map((id) =>
    keptList(find(id, HTMLElement), actions, () => state.id, id === "chats-list"),
  );
  const refresh = (): void => lists.forEach((draw) => void draw());
  find("chats-button", HTMLButtonElement).addEventListener("click", refresh);
  return { save, showTitle, refresh };
}

/** The conversation on view as it is kept; null while it is empty. */
function recordOf({ id, title, thread, loaded, model }: State): Kept | null {
  const writer = loaded
    ? { source: typeof loaded.source === "string" ? loaded.source : null, name: loaded.name }
    : model;
  if (id === null || !writer || thread.all.length === 0) return null;
  const named = title === null ? {} : { title };
  return { id, ...named, model: writer, turns: thread.all.slice(), leaf: thread.leaf, changed: Date.now() };
}

/** Keeps them beside what is there: one whose id is taken gets another. Returns how many. */
async function imported(fresh: readonly Kept[]): Promise<number> {
  const taken = new Set((await conversations()).map(({ id }) => id));
  for (const kept of fresh) {
    const id = taken.has(kept.id) || !/^\w+$/.test(kept.id) ? newPlace() : kept.id;
    taken.add(id);
    await keep({ ...kept, id });
  }
  return fresh.length;
}

/** What a fork begins with: the conversation up to a reply; up to before a question, which is a draft again. */
export function forkOf({ title, thread, model, loaded }: State, at: number) {
  const turn = thread.all[at]!;
  const isQuestion = turn.role === "user";
  const turns = thread.upTo(isQuestion ? thread.parent(at) : at);
  const named = titleOf({ ...(title === null ? {} : { title }), turns: thread.all });
  return {
    id: newPlace(),
    title: turns.length > 0 ? `${named} (fork)` : null,
    thread: new Thread(turns),
    model: loaded && typeof loaded.source === "string" ? { source: loaded.source, name: loaded.name } : model,
    draft: isQuestion
      ? { text: turn.content, documents: turn.documents ?? [] }
      : { text: "", documents: [] as readonly Document[] },
  };
}

const saveText = (text: string, name: string): void =>
  saveFile(new Blob([text], { type: name.endsWith(".json") ? "application/json" : "text/markdown" }), name);

/** Null: it stays as it is. */
function askName(now: string): Promise<string | null> {
  const dialog = find("rename-dialog", HTMLDialogElement);
  const field = find("rename", HTMLInputElement);
  field.value = now;
  dialog.returnValue = "";
  dialog.showModal();
  field.select();
  return new Promise((resolve) => {
    const onClose = (): void =>
      resolve(dialog.returnValue === "use" && field.value.trim() !== "" ? field.value.trim() : null);
    dialog.addEventListener("close", onClose, { once: true });
  });
}

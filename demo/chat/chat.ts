// The chat page: a model, a conversation, a box to write in.

import { UnsupportedError } from "../../src/index.ts";
import type { Turn } from "../shared/turn.ts";
import type { Engine, GenerationResult, ModelSource, Prompt, Session } from "../../src/index.ts";
import { about } from "./about.ts";
import { faster } from "./faster.ts";
import { conversation, follow, reply, stream, userMessage } from "./conversation.ts";
import type { Reply } from "./conversation.ts";
import { connectComposer } from "./composer.ts";
import { embedded } from "../shared/catalogue.ts";
import { button, find, make } from "../shared/dom.ts";
import { loadShowing } from "./loading.ts";
import { longText } from "./longtext.ts";
import { showNotice } from "./notice.ts";
import { count } from "../shared/numbers.ts";
import { closePanel, sidePanel } from "./panels.ts";
import { nameOfSource, picker } from "../shared/picker.ts";
import { ribbon } from "./ribbon.ts";
import { settingsForm } from "./settings.ts";
import { fromPage } from "./shelf.ts";
import { followUps, showStarters } from "./starters.ts";
import { embeddedStudent } from "../shared/students.ts";
import { swiftkvPanel } from "./swiftkv.ts";
import { explain, troubleCard } from "../shared/trouble.ts";
import type { RunMode } from "./twin.ts";
import type { Work } from "./work.ts";

const text = find("composer-text", HTMLTextAreaElement);
const sendButton = find("send", HTMLButtonElement);
const stopButton = find("stop", HTMLButtonElement);
const starters = find("starters", HTMLElement);

let engine: Engine | null = null;
let session: Session | null = null;
let loaded: { source: ModelSource; name: string } | null = null;
let messages: Turn[] = [];
/** How the engine runs the model. */
let mode: RunMode = { swiftkv: null, kv: "f16", student: null };
/** Tokens whose keys and values the engine has; 0 when they must be computed again. */
let held = 0;
let running: AbortController | null = null;
/** The running generation, if any. A session is disposed only after it has ended. */
let active: Promise<unknown> = Promise.resolve();
let lastReply: Reply | null = null;

const chat = conversation();
const drawRibbon = ribbon();
const settings = settingsForm(() => drawDraft());
const settingsPanel = sidePanel("settings");
const sidesPanel = sidePanel("swiftkv");
const panel = swiftkvPanel({
  onMode: (next) => void occupy("turning", (signal) => reading.takeUp(next, signal).then(sayMode)),
  onCompare: () => void occupy("comparing", reading.compare),
  onFit: (chosen) => void occupy("fitting", (signal) => reading.fit(chosen, signal).then(sayMode)),
  onOpen: (file) => void occupy("turning", (signal) => reading.open(file, signal).then(sayMode)),
  onStop: () => stop(),
});
const reading = faster({
  engine: () => engine!, // `occupy` does nothing without one
  mode: () => mode,
  adopt(next, as) {
    adopt(next, as);
    settings.keep(as.kv);
  },
  messages: () => messages,
  conversation: () => [...messages.map(({ content }) => content), draft()].join("\n\n"),
  write: (list) => promptOf(list),
  panel: () => panel,
});
const attachment = longText({
  tokens: (content) => engine?.tokenize(content).length ?? null,
  room: () => (engine ? engine.model.context - held - 32 : null),
  onChange: () => drawDraft(),
});

// Views

type View = "picker" | "loading" | "chat";

function show(view: View): void {
  for (const id of ["picker", "loading", "chat"] as const) find(id, HTMLElement).hidden = id !== view;
  find("picker-back", HTMLElement).hidden = engine === null;
  find("model-button", HTMLElement).hidden = engine === null || view === "loading";
  find("new-chat", HTMLElement).hidden = view !== "chat";
  if (view === "chat") text.focus({ preventScroll: true });
}

// The model

async function loadModel(source: ModelSource, name: string): Promise<void> {
  const student = source === embedded.source ? fromPage(embeddedStudent) : null;
  const trouble = find("picker-trouble", HTMLElement);
  trouble.replaceChildren();
  await halt();
  dropEngine();
  loaded = { source, name };
  show("loading");
  const options = settings.load();
  try {
    engine = await loadShowing(source, name, {
      ...options,
      teacher: true, // so that SwiftKV can be switched off
      ...(student ? { student: student.source } : {}),
    });
  } catch (error) {
    show("picker");
    if (error instanceof DOMException && error.name === "AbortError") return;
    const card = troubleCard(explain(error), {
      retry: () => loadModel(source, name),
      settings: settingsPanel.open,
    });
    trouble.replaceChildren(card);
    card.scrollIntoView({ block: "nearest" });
    return;
  }
  adopt(engine, { swiftkv: engine.model.swiftkv, kv: options.kv, student });
  find("model-label", HTMLElement).textContent = name;
  find("settings-reload", HTMLElement).hidden = false;
  showNotice(engine.stats());
  show("chat");
  if (messages.length === 0) welcome();
  drawDraft();
}

function adopt(next: Engine, as: RunMode): void {
  engine = next;
  session = next.session();
  mode = as;
  held = 0;
  about(next, loaded?.name ?? next.model.name);
  panel.show(next, mode);
  settings.adopt(next.model);
}

function dropEngine(): void {
  session?.dispose();
  engine?.dispose();
  engine = session = null;
  held = 0;
  panel.reset();
  sidesPanel.hide();
}

const reload = (): Promise<void> | undefined => (loaded ? loadModel(loaded.source, loaded.name) : undefined);

function welcome(): void {
  if (!engine || !loaded) return;
  showStarters(starters, engine.model, `${loaded.name} is ready.`, (starter) => {
    text.value = starter.text;
    if (starter.longText === "ask") attachment.open();
    else if (starter.longText) attachment.set(starter.longText, "Sample text");
    fitBox();
    if (starter.wait) text.focus();
    else void send();
  });
  starters.hidden = false;
}

// Dense or SwiftKV

/** Engine work other than replies: Stop ends it, the panel shows its progress and errors. */
async function occupy(work: Work, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
  if (!engine || running) return;
  const controller = new AbortController();
  panel.trouble(null);
  setRunning(controller, work);
  active = task(controller.signal).catch((error: unknown) => {
    if (controller.signal.aborted) return;
    panel.trouble(troubleCard(explain(error), { reload, settings: settingsPanel.open }));
  });
  await active;
  setRunning(null);
  drawDraft();
}

const sayMode = (): void => {
  find("announcer", HTMLElement).textContent =
    `Runs ${mode.swiftkv ? "with SwiftKV" : "dense"}, ${mode.kv} keys and values`;
};

// The conversation

function promptOf(list: readonly Turn[]): Prompt {
  if (engine && !engine.model.hasChatTemplate) return { text: list.map((message) => message.content).join("") };
  const system = settings.system();
  return { messages: system ? [{ role: "system", content: system }, ...list] : list };
}

/** The long text comes first, so that its keys and values are reused by every later question. */
const draft = (): string => [attachment.get(), text.value.trim()].filter(Boolean).join("\n");

async function send(): Promise<void> {
  const content = draft();
  if (!engine || running || content === "") return;
  const kept = { text: text.value, long: attachment.get() };
  const note = kept.long ? `${count(engine.tokenize(kept.long).length)} tokens` : "";
  const element = userMessage(kept.text.trim(), kept.long, note);
  starters.hidden = true;
  lastReply?.settle();
  removeTrouble();
  chat.toEnd();
  chat.add(element);
  messages.push({ role: "user", content });
  text.value = "";
  attachment.set("");
  fitBox();
  const outcome = await answer();
  if (outcome !== "refused") return;
  messages.pop();
  element.remove();
  text.value = kept.text;
  if (kept.long) attachment.set(kept.long);
  fitBox(); // leaves less room for the card
  const card = document.getElementById("chat-trouble");
  if (card) chat.reveal(card);
}

/** Generates the reply to `messages`. "refused" = there was no token, and the question may be withdrawn. */
function answer(): Promise<"done" | "refused"> {
  const outcome = generate();
  active = outcome;
  return outcome;
}

async function generate(): Promise<"done" | "refused"> {
  if (!engine || !session || !loaded) return "refused";
  const view = reply(
    mode.swiftkv && engine.model.undistilled && !engine.model.calibration
      ? `${loaded.name}, untrained SwiftKV`
      : loaded.name,
    regenerate,
  );
  chat.add(view.element);
  setRunning(new AbortController(), "reply");
  const watch = follow(view, { held, context: engine.model.context, draw: drawRibbon, scroll: chat.follow });
  try {
    const generation = session.generate(promptOf(messages), {
      ...settings.generate(),
      ...(running ? { signal: running.signal } : {}),
      onPrefill: watch.reading,
    });
    const result = await stream(generation, watch.writing);
    finish(result, view);
    return "done";
  } catch (error) {
    view.element.remove();
    showTrouble(error);
    return "refused";
  } finally {
    setRunning(null);
    drawDraft();
  }
}

function finish(result: GenerationResult, view: Reply): void {
  view.done(result);
  held = result.stats.promptTokens + result.stats.newTokens;
  const { promptTokens, reusedTokens, newTokens, prefillMs } = result.stats;
  if (reusedTokens === 0 && newTokens > 0) panel.record({ milliseconds: prefillMs, promptTokens });
  messages.push({ role: "assistant", content: result.text });
  lastReply = view;
  find("announcer", HTMLElement).textContent = `${loaded?.name ?? "Reply"}: ${result.text}`;
  chat.follow();
  offerFollowUps();
}

async function regenerate(): Promise<void> {
  if (running || messages.at(-1)?.role !== "assistant") return;
  const last = messages.pop();
  const view = lastReply;
  if (view) view.element.hidden = true;
  if ((await answer()) === "done") return view?.element.remove();
  if (last) messages.push(last);
  if (view) view.element.hidden = false;
}

async function newChat(): Promise<void> {
  await halt();
  messages = [];
  held = 0;
  lastReply = null;
  chat.clear();
  session?.dispose();
  session = engine?.session() ?? null;
  welcome();
  drawDraft();
  text.focus();
}

const stop = (): void => running?.abort();

/** Stops the generation and waits for its end. */
async function halt(): Promise<void> {
  stop();
  await active.catch(() => {});
}

function setRunning(controller: AbortController | null, work: Work = "none"): void {
  const hadFocus = document.activeElement === stopButton || document.activeElement === sendButton;
  running = controller;
  sendButton.hidden = controller !== null;
  stopButton.hidden = controller === null;
  panel.work(work);
  if (hadFocus) (controller ? stopButton : text).focus({ preventScroll: true });
}

function offerFollowUps(): void {
  removeTrouble();
  const open = followUps(messages);
  if (open.length === 0) return;
  const buttons = open.map((question) =>
    button(question, "quiet", () => {
      text.value = question;
      void send();
    }),
  );
  chat.add(make("div", { id: "follow-ups", className: "actions" }, ...buttons));
}

function showTrouble(error: unknown): void {
  const again =
    messages.length > 0 && messages.at(-1)?.role === "assistant" ? {} : { retry: () => (removeTrouble(), send()) };
  const card = troubleCard(explain(error), {
    ...again,
    newChat,
    reload,
    pickModel: () => show("picker"),
    settings: () => settingsPanel.open(),
  });
  card.id = "chat-trouble";
  chat.add(card);
}

const removeTrouble = (): void => {
  document.getElementById("chat-trouble")?.remove();
  document.getElementById("follow-ups")?.remove();
};

// The box

let measured = { text: "", tokens: 0 };
let draftTimer = 0;

/** Shows how many tokens the draft would add. Tokenizing a book takes a while, so it waits for a pause in typing. */
function drawDraft(): void {
  clearTimeout(draftTimer);
  draftTimer = window.setTimeout(() => {
    if (!engine || running) return;
    const content = draft();
    const full =
      held > 0 ? content : [settings.system(), ...messages.map((message) => message.content), content].join("\n");
    if (full !== measured.text) measured = { text: full, tokens: full.trim() ? engine.tokenize(full).length : 0 };
    drawRibbon({ context: engine.model.context, held, waiting: measured.tokens, reply: 0 });
  }, 120);
}

function fitBox(): void {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
  drawDraft();
}

function connectPage(): void {
  find("model-button", HTMLButtonElement).addEventListener("click", () => show("picker"));
  find("picker-back", HTMLButtonElement).addEventListener("click", () => show("chat"));
  find("new-chat", HTMLButtonElement).addEventListener("click", () => void newChat());
  find("settings-reload", HTMLButtonElement).addEventListener("click", () => void reload());
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    if (running) stop();
    else closePanel();
  });
  // A file that misses the drop zone would otherwise replace the page.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file && engine && !find("chat", HTMLElement).hidden) attachment.set(await file.text(), file.name);
  });
}

connectComposer({ text, attachment, onInput: fitBox, onSend: () => void send() });
stopButton.addEventListener("click", stop);
connectPage();
void picker(find("picker-list", HTMLElement), (source, name) => void loadModel(source, name));
if (!("gpu" in navigator))
  find("picker-trouble", HTMLElement).append(
    troubleCard(explain(new UnsupportedError("navigator.gpu is undefined", { code: "no-webgpu" })), {}),
  );
const asked = new URLSearchParams(location.search).get("model");
if (asked) void loadModel(asked, nameOfSource(asked));

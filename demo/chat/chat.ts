// The chat page: a model, a conversation, a box to write in. Here its parts are put together; each has a file of its own.

import { describeAdapter, EngineError, InputError } from "../../src/index.ts";
import type { Engine, ModelSource } from "../../src/index.ts";
import { embedded } from "../shared/catalogue.ts";
import { find } from "../shared/dom.ts";
import { nameOfSource, picker } from "../shared/picker.ts";
import { embeddedStudent } from "../shared/students.ts";
import { nameAt, trainedFor } from "../shared/trained.ts";
import { explain, type Remedy, troubleCard } from "../shared/trouble.ts";
import { about } from "./about.ts";
import { type Kept, lastModel, noteUse, recall, rememberModel } from "./archive.ts";
import { box as makeBox } from "./box.ts";
import { charts } from "./charts.ts";
import { chats, forkOf } from "./chats.ts";
import { connectComposer } from "./composer.ts";
import { conversation } from "./conversation.ts";
import { documentList } from "./documents.ts";
import { downloadList } from "./downloads.ts";
import { faster } from "./faster.ts";
import { incoming } from "./incoming.ts";
import { loadShowing } from "./loading.ts";
import { showNotice } from "./notice.ts";
import { closePanel, sidePanel } from "./panels.ts";
import { pictureButton } from "./pictures.ts";
import { newPlace, type Place, places } from "./places.ts";
import { ribbon } from "./ribbon.ts";
import { settingsForm } from "./settings.ts";
import { fromPage } from "./shelf.ts";
import { showStarters } from "./starters.ts";
import { begin, promptOf } from "./state.ts";
import { swiftkvPanel } from "./swiftkv.ts";
import { talk } from "./talk.ts";
import { plain, Thread } from "./thread.ts";
import type { RunMode } from "./twin.ts";
import type { Work } from "./work.ts";

const sendButton = find("send", HTMLButtonElement);
const stopButton = find("stop", HTMLButtonElement);
const starters = find("starters", HTMLElement);
const pickerTrouble = find("picker-trouble", HTMLElement);
const reloadButton = find("settings-reload", HTMLButtonElement);

const state = begin();

const list = conversation();
const drawRibbon = ribbon();
const settings = settingsForm(() => box.draw());
const settingsPanel = sidePanel("settings");
const sidesPanel = sidePanel("swiftkv");
const chatsPanel = sidePanel("chats");
const panel = swiftkvPanel({
  onMode: (next) => void occupy("turning", (signal) => reading.takeUp(next, signal).then(sayMode)),
  onCompare: () => void occupy("comparing", reading.compare),
  onFit: (chosen) => void occupy("fitting", (signal) => reading.fit(chosen, signal).then(sayMode)),
  onOpen: (file) => void occupy("turning", (signal) => reading.open(file, signal).then(sayMode)),
  onStop: () => stop(),
});
const reading = faster({
  engine: () => state.engine!, // `occupy` does nothing without one
  mode: () => state.mode,
  adopt(next, as) {
    adopt(next, as);
    settings.keep(as.kv);
    showPending(JSON.stringify(settings.load()));
  },
  messages: () => plain(state.thread.turns),
  conversation: () => [...plain(state.thread.turns).map(({ content }) => content), box.content()].join("\n\n"),
  write: (turns) => promptOf(state, settings, turns),
  panel: () => panel,
});
const sees = (): boolean => state.engine?.model.seesPictures ?? false;
const documents = documentList({
  tokens: (content) => state.engine?.tokenize(content).length ?? null,
  room: () => (state.engine ? state.engine.model.context - state.held - 32 : null),
  sees,
  onChange: () => box.fit(),
});
const pictures = pictureButton(documents.take);
const box = makeBox({ state, settings, documents, draw: drawRibbon });
const remedies: Partial<Record<Remedy, () => unknown>> = {
  newChat: () => newChat(),
  reload: () => reload(),
  pickModel: () => goTo(null),
  settings: () => settingsPanel.open(),
};
const kept = chats({ state, onOpen: (chosen) => open(chosen), onGone: () => newChat() });
const downloads = downloadList(find("downloads", HTMLElement), {
  onLoad: (source, name) => void loadModel(source, name),
  current: () => state.loaded?.source,
});
const drawCharts = charts(() => state.thread.turns.flatMap(({ stats }) => stats ?? []));
const chat = talk({
  state,
  box,
  list,
  settings,
  panel: () => panel,
  drawRibbon,
  setRunning,
  remedies,
  onChange() {
    kept.save();
    drawCharts();
  },
  onFork: (at) => fork(at),
});

// Places

type View = "picker" | "loading" | "chat";

function show(view: View): void {
  for (const id of ["picker", "loading", "chat"] as const) find(id, HTMLElement).hidden = id !== view;
  find("picker-back", HTMLElement).hidden = state.engine === null;
  find("model-button", HTMLElement).hidden = state.engine === null || view === "loading";
  find("new-chat", HTMLElement).hidden = view !== "chat" || state.engine === null;
  if (view === "picker") {
    document.title = "longprompt";
    kept.refresh();
    void downloads();
  }
  if (view === "chat") showOffer();
}

const address = places((place) => void moveTo(place));

/** Shows a place and makes it an entry of the history. */
function goTo(place: Place): void {
  address.go(place);
  void moveTo(place);
}

async function moveTo(place: Place): Promise<void> {
  if (!find("loading", HTMLElement).hidden) find("loading-cancel", HTMLButtonElement).click();
  if (place === null) return show("picker");
  if (place === state.id) return show("chat");
  const found = await recall(place);
  if (found) return open(found);
  address.stay(null); // an empty conversation, or one that was deleted
  show("picker");
}

/** Takes up a kept conversation, with the model that is loaded or the one it was had with. */
async function open({ id, title, model, turns, leaf }: Kept): Promise<void> {
  await halt();
  Object.assign(state, { id, title: title ?? null, model, thread: new Thread(turns, leaf), held: 0 });
  address.go(id);
  if (matchMedia("(max-width: 62rem)").matches) chatsPanel.hide(); // it lies over the conversation there
  showConversation();
}

/** Goes on from a turn in a conversation of its own. */
async function fork(at: number): Promise<void> {
  await halt();
  const { draft, ...begun } = forkOf(state, at);
  Object.assign(state, { ...begun, held: 0 });
  address.go(state.id);
  kept.save();
  showConversation();
  box.set(draft);
}

function showConversation(): void {
  chat.show();
  drawCharts();
  kept.showTitle();
  kept.refresh();
  starters.hidden = state.thread.leaf >= 0;
  if (state.thread.leaf < 0) welcome();
  show("chat");
  box.fit();
}

/** Without a model a conversation can be read, and the model is offered. */
function showOffer(): void {
  const { engine } = state;
  find("composer", HTMLElement).hidden = engine === null;
  find("offer", HTMLElement).hidden = engine !== null;
  if (engine) return box.text.focus({ preventScroll: true });
  const load = find("offer-load", HTMLButtonElement);
  const { name = "a model", source = null } = state.model ?? {};
  find("offer-text", HTMLElement).textContent = source
    ? `${name} wrote here.`
    : `${name} wrote here. It came from your own disk: choose its files again to go on.`;
  load.hidden = source === null;
  load.textContent = `Load ${name}`;
}

// The model

/** The model in use and the conversation stay until the new one is ready. `faster`: with the student that comes with it. */
async function loadModel(source: ModelSource, name: string, faster = true): Promise<void> {
  const student = faster && source === embedded.source ? fromPage(embeddedStudent) : null;
  const options = settings.load();
  pickerTrouble.replaceChildren();
  show("loading");
  let next: Engine;
  try {
    next = await loadShowing(source, name, {
      ...options,
      ...(typeof source === "string" ? { trained: trainedFor(options.kv, { name: nameAt(source) }) } : {}),
      teacher: true, // so that SwiftKV can be switched off
      ...(student ? { student: student.source } : {}),
    });
  } catch (error) {
    if (student && error instanceof InputError) return loadModel(source, name, false); // its recipe may go with dense models only
    return showFailure(error, source, name);
  }
  await halt();
  dropEngine();
  state.loaded = { source, name };
  if (typeof source === "string") {
    rememberModel({ source, name });
    noteUse(source, next.model.parameters);
  }
  adopt(next, { swiftkv: next.model.swiftkv, kv: options.kv, student });
  find("model-label", HTMLElement).textContent = name;
  reloadButton.hidden = false;
  showPending(JSON.stringify(options));
  showNotice(next.stats());
  state.id ??= newPlace();
  if (address.isAsking) address.stay(state.id);
  else address.go(state.id);
  showConversation();
}

function showFailure(error: unknown, source: ModelSource, name: string): void {
  show(address.here() === null ? "picker" : "chat");
  if (error instanceof DOMException && error.name === "AbortError") return;
  show("picker");
  const again = (): Promise<void> => loadModel(source, name);
  const unload = async (): Promise<void> => {
    await halt();
    dropEngine();
    return again();
  };
  const actions = { retry: again, settings: settingsPanel.open, ...(state.engine ? { unload } : {}) };
  const card = troubleCard(explain(error), actions, ({ source: file }) => loadModel(file, nameOfSource(file)));
  pickerTrouble.replaceChildren(card);
  card.scrollIntoView({ block: "nearest" });
}

function adopt(next: Engine, as: RunMode): void {
  Object.assign(state, { engine: next, session: next.session(), mode: as, held: 0 });
  about(next, state.loaded?.name ?? next.model.name);
  panel.show(next, as);
  settings.adopt(next.model);
  pictures.show(next.model.seesPictures);
}

function dropEngine(): void {
  state.session?.dispose();
  state.engine?.dispose();
  Object.assign(state, { engine: null, session: null, held: 0 });
  panel.reset();
  sidesPanel.hide();
}

/** What runs, as the settings had it. */
let applied = "";

/** Whether something has been chosen that does not run. */
function showPending(now = applied): void {
  applied = now;
  reloadButton.classList.toggle("pending", JSON.stringify(settings.load()) !== applied);
}

const reload = (): Promise<void> | undefined =>
  state.loaded ? loadModel(state.loaded.source, state.loaded.name, state.mode.swiftkv !== null) : undefined;

function welcome(): void {
  const { engine, loaded } = state;
  if (!engine || !loaded) return;
  showStarters(starters, engine.model, `${loaded.name} is ready.`, (starter) => {
    box.set({ text: starter.text, documents: [] });
    if (starter.longText === "ask") documents.open();
    else if (starter.longText) documents.add({ name: "Sample text", text: starter.longText });
    if (starter.wait) box.text.focus();
    else void chat.send();
  });
}

/** Engine work other than replies: Stop ends it, the panel shows its progress and errors. */
async function occupy(work: Work, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
  if (!state.engine || state.running) return;
  const controller = new AbortController();
  panel.trouble(null);
  setRunning(controller, work);
  state.active = task(controller.signal).catch((error: unknown) => {
    if (controller.signal.aborted) return;
    panel.trouble(troubleCard(explain(error), { reload, settings: settingsPanel.open }));
  });
  await state.active;
  setRunning(null);
  box.draw();
}

const sayMode = (): void => {
  const { swiftkv, kv } = state.mode;
  find("announcer", HTMLElement).textContent = `Runs ${swiftkv ? "with SwiftKV" : "dense"}, ${kv} keys and values`;
};

// What runs

async function newChat(): Promise<void> {
  await halt();
  state.session?.dispose();
  Object.assign(state, { id: newPlace(), title: null, thread: new Thread(), held: 0 });
  if (!state.engine) return goTo(null);
  state.session = state.engine.session();
  address.go(state.id);
  showConversation();
}

const stop = (): void => state.running?.abort();

/** Stops the generation and waits for its end. */
async function halt(): Promise<void> {
  stop();
  await state.active.catch(() => {});
}

function setRunning(controller: AbortController | null, work: Work = "none"): void {
  const focused = document.activeElement;
  const hadFocus = focused === stopButton || focused === sendButton || list.list.contains(focused);
  state.running = controller;
  sendButton.hidden = controller !== null;
  stopButton.hidden = controller === null;
  list.list.classList.toggle("running", controller !== null);
  panel.work(work);
  if (hadFocus) (controller ? stopButton : box.text).focus({ preventScroll: true });
}

function connectPage(): void {
  find("model-button", HTMLButtonElement).addEventListener("click", () => goTo(null));
  find("picker-back", HTMLButtonElement).addEventListener("click", () => goTo(state.id));
  find("new-chat", HTMLButtonElement).addEventListener("click", () => void newChat());
  reloadButton.addEventListener("click", () => void reload());
  find("settings-form", HTMLFormElement).addEventListener("input", () => showPending());
  find("offer-load", HTMLButtonElement).addEventListener("click", () => {
    if (state.model?.source) void loadModel(state.model.source, state.model.name);
  });
  find("offer-other", HTMLButtonElement).addEventListener("click", () => goTo(null));
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || document.querySelector("dialog[open], :popover-open")) return;
    if (state.running) stop();
    else closePanel();
  });
}

/** Says before any download what models would run on. */
async function showAdapter(): Promise<void> {
  try {
    const { software } = await describeAdapter();
    if (software) find("picker-lead", HTMLElement).textContent = ON_PROCESSOR;
  } catch (error) {
    if (error instanceof EngineError && pickerTrouble.childElementCount === 0)
      pickerTrouble.append(troubleCard(explain(error), {}));
  }
}

const ON_PROCESSOR =
  "longprompt runs language models inside this page. What you write stays here. This browser has no graphics card to use: models run on the processor, about a hundred times slower. Take a small one.";

connectComposer({ text: box.text, documents, sees, onInput: box.fit, onSend: () => void chat.send() });
stopButton.addEventListener("click", stop);
connectPage();
const files = incoming({ state, documents, goTo, onModel: (source, name) => void loadModel(source, name) });
void picker(find("picker-list", HTMLElement), {
  onChoose: (source, name) => void loadModel(source, name),
  last: lastModel(),
  onWrong: (file) => void files.refuse(file),
});
void showAdapter();
const asked = new URLSearchParams(location.search).get("model");
if (asked) void loadModel(asked, nameOfSource(asked));
else void moveTo(address.here());

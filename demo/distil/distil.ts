// The training page: a text, a shape, a loss curve; pause, go on, and the student as a file.

import { distil, type DistilProgress, type Engine, exportStudent, load, type ModelSource } from "../../src/index.ts";
import { sampleText } from "../chat/sample.ts";
import { embedded } from "../shared/catalogue.ts";
import { find, saveFile, setProgress } from "../shared/dom.ts";
import { count, figure, seconds as time } from "../shared/numbers.ts";
import { nameOfSource, picker } from "../shared/picker.ts";
import { fileKind, wrongFile } from "../shared/dropped.ts";
import { explain, troubleCard } from "../shared/trouble.ts";
import { curve } from "./curve.ts";

/** Words of the built-in text. */
const SAMPLE_WORDS = 4000;
const CHECKPOINT_EVERY = 10;

const form = find("distil-form", HTMLFormElement);
const start = find("distil-start", HTMLButtonElement);
const pause = find("distil-pause", HTMLButtonElement);
const fileField = find("distil-file", HTMLInputElement);
const stateField = find("distil-state", HTMLInputElement);
const exportButton = find("distil-export", HTMLButtonElement);
const saveButton = find("distil-save", HTMLButtonElement);
const trouble = find("distil-trouble", HTMLElement);

let chosen: { source: ModelSource; name: string } = embedded;
let engine: { engine: Engine; source: ModelSource; room: number } | null = null;
let running: AbortController | null = null;
/** The training that stands still: what it goes on from, and its losses. */
let state: Uint8Array<ArrayBuffer> | null = null;
let losses: number[] = [];

interface Asked {
  layers: number;
  group: number;
  steps: number;
  window: number;
  rate: number;
}

function readForm(): Asked {
  const data = new FormData(form);
  const number = (name: keyof Asked) => Number(data.get(name));
  const [layers, group, steps] = [number("layers"), number("group"), number("steps")];
  return { layers, group, steps, window: number("window"), rate: number("rate") };
}

async function readText(): Promise<string> {
  if (new FormData(form).get("text") === "sample") return sampleText(SAMPLE_WORDS);
  return (await fileField.files?.[0]?.text()) ?? "";
}

/** The model, loaded once for a source and a window that fits. */
async function loaded(window: number): Promise<Engine> {
  const room = Math.ceil(window / 32) * 32;
  if (engine && engine.source === chosen.source && engine.room >= room) return engine.engine;
  engine?.engine.dispose();
  engine = null;
  const options = { context: room, chunk: room, sequences: 1 };
  const made = await load(chosen.source, {
    ...options,
    onProgress: ({ loadedBytes, totalBytes }) =>
      show("Loading the model", totalBytes > 0 ? loadedBytes / totalBytes : null),
  });
  engine = { engine: made, source: chosen.source, room };
  return made;
}

async function train(): Promise<void> {
  const { layers, group, window, steps, rate } = readForm();
  running = new AbortController();
  const { signal } = running;
  trouble.replaceChildren();
  setRunning(true);
  try {
    const [file] = stateField.files ?? [];
    if (file && !state) state = new Uint8Array(await file.arrayBuffer());
    const [text, model] = [await readText(), await loaded(window)];
    signal.throwIfAborted();
    find("distil-result", HTMLElement).hidden = false;
    const student = await distil(
      model,
      { layers, group },
      {
        texts: text,
        // A training that goes on has its numbers in its state.
        ...(state ? { resume: state } : { steps, rate, window }),
        checkpointEvery: CHECKPOINT_EVERY,
        onCheckpoint: (checkpoint) => {
          state = checkpoint;
          exportButton.disabled = saveButton.disabled = false;
        },
        onProgress: showProgress,
        signal,
      },
    );
    student.dispose();
    say("Training is finished. The student can be saved.");
    setRunning(false);
    start.textContent = "Start again";
  } catch (error) {
    setRunning(false);
    if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
    start.textContent = state ? "Go on" : "Start";
    say("Paused.");
  } finally {
    running = null;
  }
}

/** Forgets the training that stands still: what is asked for is another one. */
function forget(): void {
  if (running) return;
  state = null;
  losses = [];
  start.textContent = "Start";
  exportButton.disabled = saveButton.disabled = true;
}

function showProgress({ phase, done, total, loss, secondsLeft }: DistilProgress): void {
  const left = secondsLeft === null ? "" : `, ${time(1000 * secondsLeft)} left`;
  if (phase === "calibrate")
    return show(`Fitting a start to the text: ${count(done)} of ${count(total)} tokens${left}`, done / total);
  losses = [...losses.slice(0, done - 1), loss!];
  const place = find("distil-curve", HTMLElement);
  place.replaceChildren(curve(losses, total, place.clientWidth));
  show(`Step ${count(done)} of ${count(total)}, loss ${figure(loss!)}${left}`, done / total);
}

function show(text: string, share: number | null): void {
  find("distil-phase", HTMLElement).textContent = text;
  setProgress(find("distil-bar", HTMLElement), share);
}

const say = (text: string): void => void (find("distil-announcer", HTMLElement).textContent = text);

function setRunning(on: boolean): void {
  start.hidden = on;
  pause.hidden = !on;
  pause.disabled = false;
  find("distil-progress", HTMLElement).hidden = !on;
  for (const fieldset of form.querySelectorAll("fieldset")) fieldset.disabled = on;
  if (on) say("");
}

function choose(source: ModelSource, name: string): void {
  chosen = { source, name };
  find("distil-model", HTMLElement).textContent = name;
  togglePicker(false);
  forget();
}

function togglePicker(open: boolean): void {
  find("picker-list", HTMLElement).hidden = !open;
  find("distil-change", HTMLElement).setAttribute("aria-expanded", String(open));
}

function connect(): void {
  form.addEventListener("input", () => {
    find("distil-file-row", HTMLElement).hidden = new FormData(form).get("text") !== "file";
    forget();
  });
  find("distil-change", HTMLElement).addEventListener("click", () =>
    togglePicker(find("picker-list", HTMLElement).hidden !== false),
  );
  pause.addEventListener("click", () => {
    pause.disabled = true;
    running?.abort();
    show("Pausing after this step", null);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (start.textContent === "Start again") forget();
    try {
      await train();
    } catch (error) {
      trouble.replaceChildren(troubleCard(explain(error), { retry: () => form.requestSubmit() }));
    }
  });
  exportButton.addEventListener("click", async () =>
    saveFile(new Blob([await exportStudent(engine!.engine, state!)]), "student.safetensors"),
  );
  saveButton.addEventListener("click", () => saveFile(new Blob([state!]), "checkpoint.safetensors"));
}

connect();
const asked = new URLSearchParams(location.search).get("model");
choose(asked ?? chosen.source, asked ? nameOfSource(asked) : chosen.name);
void picker(find("picker-list", HTMLElement), {
  onChoose: choose,
  onWrong: async (file) => trouble.replaceChildren(wrongFile(file.name, await fileKind(file))),
});

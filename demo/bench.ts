// The benchmark page. By hand: choose, start, read. By a driver: `await window.runBench(options)`.

import type { KvFormat, ModelSource } from "../src/index.ts";

import { embedded } from "./catalogue.ts";
import { find, make } from "./dom.ts";
import { FRONTIERS, measure } from "./measure.ts";
import type { BenchOptions, BenchProgress, BenchResult } from "./measure.ts";
import { nameOfSource, picker } from "./picker.ts";
import { showResult } from "./report.ts";
import { explain, troubleCard } from "./trouble.ts";

const FORMATS: readonly KvFormat[] = ["f16", "f32", "int8"];

declare global {
  interface Window {
    /** The latest result, once there is one. */
    benchResult?: BenchResult;
    /** Measures and shows. Rejects with an Error whose message says what to do. */
    runBench(options?: Partial<BenchOptions>): Promise<BenchResult>;
  }
}

const form = find("bench-form", HTMLFormElement);
const start = find("bench-start", HTMLButtonElement);
const stop = find("bench-stop", HTMLButtonElement);
const progress = find("bench-progress", HTMLElement);
const trouble = find("bench-trouble", HTMLElement);
const result = find("bench-result", HTMLElement);

let chosen: { source: ModelSource; name: string } = embedded;
let running: AbortController | null = null;

window.runBench = async (options = {}) => {
  if (running) throw new Error("benchmark: already running. Wait for it, or stop it.");
  running = new AbortController();
  setRunning(true);
  try {
    const source = options.source ?? chosen.source;
    const measured = await measure({ signal: running.signal, ...options, source }, showProgress);
    window.benchResult = measured;
    result.hidden = false;
    showResult(result, measured, source === chosen.source ? chosen.name : measured.model.name);
    find("bench-announcer", HTMLElement).textContent = "The benchmark is finished.";
    return measured;
  } finally {
    running = null;
    setRunning(false);
  }
};

function setRunning(on: boolean): void {
  start.hidden = on;
  stop.hidden = !on;
  progress.hidden = !on;
  for (const fieldset of form.querySelectorAll("fieldset")) fieldset.disabled = on;
  if (on) {
    trouble.replaceChildren();
    find("bench-announcer", HTMLElement).textContent = "";
  }
}

function showProgress({ text, share }: BenchProgress): void {
  const bar = find("bench-bar", HTMLElement);
  find("bench-phase", HTMLElement).textContent = text;
  bar.classList.toggle("endless", share === null);
  bar.style.setProperty("--done", `${100 * (share ?? 1)}%`);
  if (share === null) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
}

function readForm(): Partial<BenchOptions> {
  const data = new FormData(form);
  const whole = (name: string, fallback: number): number => Number(data.get(name)) || fallback;
  return {
    frontiers: data.getAll("frontier").map(Number),
    runs: whole("runs", 5),
    newTokens: whole("newTokens", 32),
    kv: FORMATS.find((format) => format === data.get("kv")) ?? "f16",
    profile: data.has("profile"),
  };
}

function choose(source: ModelSource, name: string): void {
  chosen = { source, name };
  find("bench-model", HTMLElement).textContent = name;
  togglePicker(false);
}

function togglePicker(open: boolean): void {
  find("picker-list", HTMLElement).hidden = !open;
  find("bench-change", HTMLElement).setAttribute("aria-expanded", String(open));
}

function connect(): void {
  const boxes = FRONTIERS.map((frontier) => {
    const box = make("input", {
      type: "checkbox",
      name: "frontier",
      value: String(frontier),
      checked: frontier <= 2048,
    });
    return make("label", { className: "check" }, box, frontier < 1024 ? String(frontier) : `${frontier / 1024}K`);
  });
  find("frontiers", HTMLElement).append(...boxes);
  find("bench-change", HTMLElement).addEventListener("click", () =>
    togglePicker(find("picker-list", HTMLElement).hidden !== false),
  );
  stop.addEventListener("click", () => running?.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await window.runBench(readForm());
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      trouble.replaceChildren(troubleCard(explain(error), { retry: () => form.requestSubmit() }));
    }
  });
}

connect();
const asked = new URLSearchParams(location.search).get("model");
choose(asked ?? chosen.source, asked ? nameOfSource(asked) : chosen.name);
void picker(find("picker-list", HTMLElement), choose);

// The benchmark page. Used by hand, or by a driver: `await window.runBench(options)`, or runComparison.

import { KV_FORMATS, type ModelSource } from "../../src/index.ts";

import { embedded } from "../shared/catalogue.ts";
import { compare } from "./compare.ts";
import type { CompareOptions, CompareResult } from "./compare.ts";
import { showComparison } from "./comparison.ts";
import { drawComparison } from "./drawing.ts";
import { measureQuality } from "../quality/report.ts";
import type { QualityOptions } from "../quality/report.ts";
import type { QualityProgress, QualityResult, QualityRow } from "../quality/result.ts";
import { drawQuality, prepareQuality, readQuality, showQuality } from "./quality.ts";
import { find, make, setProgress } from "../shared/dom.ts";
import { FRONTIERS, measure } from "./measure.ts";
import type { BenchOptions, BenchProgress, BenchResult } from "./measure.ts";
import { namesShape, USUAL, type WantedShape } from "./recipes.ts";
import { nameOfSource, picker } from "../shared/picker.ts";
import { showResult } from "./report.ts";
import { fileKind, wrongFile } from "../shared/dropped.ts";
import { explain, troubleCard } from "../shared/trouble.ts";

/** K's share of the layers, by where its boxes are. */
const SHARES = { "shapes-half": 0.5, "shapes-most": 0.75 } as const;
const GROUPS = [1, 2, 4] as const;
/** Lengths that take minutes without a GPU: offered, not usual. */
const LONG = [16384, 32768] as const;

type AnyResult = BenchResult | CompareResult | QualityResult;

declare global {
  interface Window {
    /** The latest result, once there is one. */
    benchResult?: AnyResult;
    /** Measures and shows. Rejects with an Error whose message says what to do. */
    runBench(options?: Partial<BenchOptions>): Promise<BenchResult>;
    /** Measures and shows recipes and SwiftKV side by side, likewise. */
    runComparison(options?: Partial<CompareOptions>): Promise<CompareResult>;
    /** Measures and shows the quality of caches, likewise. */
    runQuality(options?: Partial<QualityOptions>): Promise<QualityResult>;
    drawQuality: typeof drawQuality;
    drawComparison: typeof drawComparison;
    /** Given by the command: hears each row as it is ready. */
    emitRow?: (row: QualityRow) => Promise<void>;
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

window.runBench = (options = {}) => run(measure, options, showResult);
window.runComparison = (options = {}) => run(compare, options, showComparison);

window.runQuality = (options = {}) => run(workQuality, options, showQuality);
window.drawQuality = drawQuality;
window.drawComparison = drawComparison;

/** Shows what there is after every row: a run that is stopped leaves the rows before. */
function workQuality(
  options: Partial<QualityOptions> & Pick<BenchOptions, "source">,
  report: (progress: QualityProgress) => void,
): Promise<QualityResult> {
  const onRow = (row: QualityRow, soFar: QualityResult): void => {
    void window.emitRow?.(row);
    result.hidden = false;
    showQuality(result, soFar, nameOf(options.source, soFar));
  };
  return measureQuality(options, { report, onRow });
}

const nameOf = (source: ModelSource, { model }: AnyResult): string =>
  source === chosen.source ? chosen.name : model.name;

type Common = Partial<Pick<BenchOptions, "source" | "signal">>;

/** Runs one measurement at a time, keeps it as the latest, shows it. */
async function run<O extends Common, R extends AnyResult>(
  work: (options: O & Pick<BenchOptions, "source">, report: (progress: BenchProgress) => void) => Promise<R>,
  options: O,
  show: (target: HTMLElement, result: R, name: string) => void,
): Promise<R> {
  if (running) throw new Error("benchmark: already running. Wait for it, or stop it.");
  running = new AbortController();
  setRunning(true);
  try {
    const source = options.source ?? chosen.source;
    const measured = await work({ signal: running.signal, ...options, source }, showProgress);
    window.benchResult = measured;
    result.hidden = false;
    show(result, measured, nameOf(source, measured));
    find("bench-announcer", HTMLElement).textContent = "The benchmark is finished.";
    return measured;
  } finally {
    running = null;
    setRunning(false);
  }
}

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
  find("bench-phase", HTMLElement).textContent = text;
  setProgress(find("bench-bar", HTMLElement), share);
}

const kindOf = (): string => String(new FormData(form).get("kind"));

/** What both kinds of run ask for. */
function readForm(): Required<Pick<BenchOptions, "frontiers" | "runs" | "newTokens">> {
  const data = new FormData(form);
  const whole = (name: string, fallback: number): number => Number(data.get(name)) || fallback;
  return {
    frontiers: data.getAll("frontier").map(Number),
    runs: whole("runs", 5),
    newTokens: whole("newTokens", 32),
  };
}

function readSpeed(): Partial<BenchOptions> {
  const data = new FormData(form);
  const kv = KV_FORMATS.find((format) => format === data.get("kv")) ?? "f16";
  return { ...readForm(), kv, profile: data.has("profile") };
}

function readComparison(): Partial<CompareOptions> & { shapes: WantedShape[]; kv: string[] } {
  const data = new FormData(form);
  const shapes = Object.entries(SHARES).flatMap(([place, share]) =>
    data.getAll(place).map((group) => ({ share, group: Number(group) })),
  );
  const others = String(data.get("recipes"))
    .split(";")
    .map((recipe) => recipe.trim());
  return { ...readForm(), shapes, kv: [...data.getAll("format").map(String), ...others.filter(Boolean)] };
}

/** Shows the fields of the chosen kind of run, and how much a comparison asks of the machine. */
function showKind(): void {
  for (const part of form.querySelectorAll<HTMLElement>("[data-kind]"))
    part.hidden = !part.dataset.kind!.split(" ").includes(kindOf());
  if (kindOf() !== "swiftkv") return;
  const { shapes, kv } = readComparison();
  const { frontiers, runs } = readForm();
  const own = kv.filter(namesShape);
  const variants = (1 + shapes.length) * (kv.length - own.length) + own.length;
  const replies = variants * frontiers.length * (1 + runs);
  find("bench-amount", HTMLElement).textContent =
    `Dense${shapes.length > 0 ? ` and ${shapes.length} SwiftKV` : ""}, ${kv.join(", ") || "no recipe"}, ${frontiers.length} lengths, ${runs} runs and one to warm up: ${replies} replies.`;
}

/** Fills the fields with the recipes that show what context costs. */
function chooseUsual(): void {
  for (const box of form.querySelectorAll<HTMLInputElement>("#shapes-half input, #shapes-most input"))
    box.checked = false;
  const formats: readonly string[] = KV_FORMATS;
  for (const box of find("formats", HTMLElement).querySelectorAll("input"))
    box.checked = USUAL.some((each) => each === box.value);
  const others = form.elements.namedItem("recipes") as HTMLInputElement;
  others.value = USUAL.filter((recipe) => !formats.includes(recipe)).join("; ");
  showKind();
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

function checkBox(name: string, value: string, text: string, checked: boolean): HTMLElement {
  return make("label", { className: "check" }, make("input", { type: "checkbox", name, value, checked }), text);
}

function fillBoxes(): void {
  const length = (frontier: number): string => (frontier < 1024 ? String(frontier) : `${frontier / 1024}K`);
  find("frontiers", HTMLElement).append(
    ...[...FRONTIERS, ...LONG].map((frontier) =>
      checkBox("frontier", String(frontier), length(frontier), frontier <= 2048),
    ),
  );
  for (const [place, share] of Object.entries(SHARES))
    find(place, HTMLElement).append(
      ...GROUPS.map((group) => checkBox(place, String(group), `G ${group}`, share === 0.5 && group <= 2)),
    );
  find("formats", HTMLElement).append(...KV_FORMATS.map((kv) => checkBox("format", kv, kv, kv === "f16")));
}

async function runChosen(): Promise<void> {
  if (kindOf() === "quality") await window.runQuality(await readQuality(form));
  else if (kindOf() === "swiftkv") await window.runComparison(readComparison());
  else await window.runBench(readSpeed());
}

function connect(): void {
  fillBoxes();
  prepareQuality(form);
  form.addEventListener("input", showKind);
  showKind(); // a reloaded page keeps its fields
  find("bench-change", HTMLElement).addEventListener("click", () =>
    togglePicker(find("picker-list", HTMLElement).hidden !== false),
  );
  find("recipes-usual", HTMLElement).addEventListener("click", chooseUsual);
  stop.addEventListener("click", () => running?.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await runChosen();
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      trouble.replaceChildren(troubleCard(explain(error), { retry: () => form.requestSubmit() }));
    }
  });
}

connect();
const asked = new URLSearchParams(location.search).get("model");
choose(asked ?? chosen.source, asked ? nameOfSource(asked) : chosen.name);
void picker(find("picker-list", HTMLElement), {
  onChoose: choose,
  onWrong: async (file) => trouble.replaceChildren(wrongFile(file.name, await fileKind(file))),
});

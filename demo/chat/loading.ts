// The loading view.

import { load } from "../../src/index.ts";
import type { Engine, LoadOptions, LoadProgress, ModelSource } from "../../src/index.ts";
import { find } from "../shared/dom.ts";
import { bytes, seconds } from "../shared/numbers.ts";

const PHASES: Record<LoadProgress["phase"], string> = {
  open: "Opening",
  download: "Reading the weights",
  tokenizer: "Preparing the tokenizer",
  compile: "Compiling for your GPU",
  tune: "Measuring your GPU, once",
  ready: "Ready",
};

/** Loads while the view shows the progress. Rejects with an AbortError when the user cancels. */
export async function loadShowing(source: ModelSource, name: string, options: LoadOptions): Promise<Engine> {
  const cancel = new AbortController();
  const button = find("loading-cancel", HTMLButtonElement);
  const onCancel = (): void => cancel.abort();
  button.addEventListener("click", onCancel);
  const show = view(name);
  try {
    return await load(source, { ...options, signal: cancel.signal, onProgress: show });
  } finally {
    button.removeEventListener("click", onCancel);
  }
}

function view(name: string): (progress: LoadProgress) => void {
  find("loading-title", HTMLElement).textContent = name;
  const bar = find("loading-bar", HTMLElement);
  const phaseLine = find("loading-phase", HTMLElement);
  const byteLine = find("loading-bytes", HTMLElement);
  const started = performance.now();
  let firstBytes = -1; // bytes from the cache must not count towards the speed
  const show = ({ phase, loadedBytes, totalBytes }: LoadProgress): void => {
    const text = PHASES[phase];
    if (phaseLine.textContent !== text) phaseLine.textContent = text;
    const known = totalBytes > 0;
    const percent = phase === "open" ? 0 : known ? (100 * loadedBytes) / totalBytes : 100;
    bar.classList.toggle("endless", !known || phase === "compile" || phase === "tune");
    bar.style.setProperty("--done", `${percent}%`);
    if (known) bar.setAttribute("aria-valuenow", String(Math.round(percent)));
    else bar.removeAttribute("aria-valuenow");
    if (firstBytes < 0 && phase === "download") firstBytes = loadedBytes;
    byteLine.textContent = known ? `${bytes(loadedBytes)} of ${bytes(totalBytes)}${pace(loadedBytes, totalBytes)}` : "";
  };
  const pace = (loaded: number, total: number): string => {
    const elapsed = performance.now() - started;
    const speed = (loaded - Math.max(0, firstBytes)) / elapsed;
    if (elapsed < 1500 || speed <= 0 || loaded >= total) return "";
    return `, ${seconds((total - loaded) / speed)} left`;
  };
  show({ phase: "open", loadedBytes: 0, totalBytes: 0, share: null, item: "" });
  return show;
}

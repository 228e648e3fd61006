// The loading view.

import { load } from "../../src/index.ts";
import type { Engine, LoadOptions, LoadProgress, ModelSource } from "../../src/index.ts";
import { find, setProgress } from "../shared/dom.ts";
import { bytes, seconds } from "../shared/numbers.ts";
import { showDevice } from "./notice.ts";

type Phase = LoadProgress["phase"];

const PHASES: Record<Phase, string> = {
  open: "Opening",
  wait: "Another tab downloads this model",
  download: "Reading the weights",
  tokenizer: "Preparing the tokenizer",
  compile: "Compiling for your GPU",
  tune: "Measuring your GPU, once",
  device: "The graphics device was lost: taking another",
  ready: "Ready",
};

/** Where each phase begins and ends on the bar, by what it takes of the wait. Compiling has begun during the download. */
const SPANS: Record<Phase, readonly [number, number]> = {
  open: [0, 0.03],
  wait: [0.05, 0.75],
  tokenizer: [0.03, 0.05],
  download: [0.05, 0.75],
  compile: [0.75, 0.95],
  tune: [0.95, 1],
  device: [0, 0.03],
  ready: [1, 1],
};

/** How far loading has come, from 0 to 1. */
export const shareOf = ({ phase, share }: Pick<LoadProgress, "phase" | "share">): number => {
  const [from, to] = SPANS[phase];
  return from + (share ?? 0) * (to - from);
};

/** Loads while the view shows the progress. Rejects with an AbortError when the user cancels. */
export async function loadShowing(source: ModelSource, name: string, options: LoadOptions): Promise<Engine> {
  const cancel = new AbortController();
  const button = find("loading-cancel", HTMLButtonElement);
  const onCancel = (): void => cancel.abort();
  button.addEventListener("click", onCancel);
  const show = view(name);
  try {
    return await load(source, { ...options, signal: cancel.signal, onProgress: show, onEvent: showDevice });
  } finally {
    button.removeEventListener("click", onCancel);
  }
}

function view(name: string): (progress: LoadProgress) => void {
  find("loading-title", HTMLElement).textContent = name;
  const bar = find("loading-bar", HTMLElement);
  const phaseLine = find("loading-phase", HTMLElement);
  const byteLine = find("loading-bytes", HTMLElement);
  const pace = paceOf();
  const show = (progress: LoadProgress): void => {
    const { phase, loadedBytes, totalBytes, share } = progress;
    const text = PHASES[phase];
    if (phaseLine.textContent !== text) phaseLine.textContent = text;
    setProgress(bar, shareOf(progress));
    bar.classList.toggle("busy", share === null || phase === "compile"); // a kernel may take seconds
    byteLine.textContent = totalBytes > 0 ? `${bytes(loadedBytes)} of ${bytes(totalBytes)}${pace(progress)}` : "";
  };
  show({ phase: "open", loadedBytes: 0, totalBytes: 0, share: null, item: "" });
  return show;
}

/** The time that the rest of the download takes, once it can be told. */
function paceOf(): (progress: LoadProgress) => string {
  const started = performance.now();
  let firstBytes = -1; // bytes from the cache must not count towards the speed
  return ({ loadedBytes, totalBytes }) => {
    if (firstBytes < 0) firstBytes = loadedBytes;
    const elapsed = performance.now() - started;
    const speed = (loadedBytes - firstBytes) / elapsed;
    if (elapsed < 1500 || speed <= 0 || loadedBytes >= totalBytes) return "";
    return `, ${seconds((totalBytes - loadedBytes) / speed)} left`;
  };
}

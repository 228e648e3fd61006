// What the engine does for the panel "Faster reading": a progress bar, and the button that starts it as the one that stops it.

import { find, setProgress } from "../shared/dom.ts";

/** What the engine is doing, as far as it concerns the panel. */
export type Work = "none" | "reply" | "turning" | "comparing" | "fitting";

/** A button that starts work, and stops it while it is under way. */
export interface Job {
  button: HTMLButtonElement;
  work: Work;
  stop: string;
  onStart: () => void;
}

export interface WorkView {
  show(work: Work): void;
  /** Progress; null = unknown. */
  progress(text: string, share: number | null): void;
}

type Control = HTMLInputElement | HTMLSelectElement | HTMLButtonElement;

/** `controls` are locked while anything runs. The bar stands above the button of what runs, else above the first one. */
export function workView(jobs: readonly Job[], controls: readonly Control[], onStop: () => void): WorkView {
  const view = find("swiftkv-work", HTMLElement);
  const bar = find("swiftkv-bar", HTMLElement);
  const labels = new Map(jobs.map(({ button }) => [button, button.textContent]));
  const lock = lockOf(controls);
  let now: Work = "none";
  for (const { button, work, onStart } of jobs)
    button.addEventListener("click", () => (now === work ? onStop : onStart)());
  return {
    show(work) {
      now = work;
      lock(work !== "none");
      for (const job of jobs) {
        const own = job.work === work;
        job.button.disabled = work !== "none" && !own;
        job.button.textContent = own ? job.stop : (labels.get(job.button) ?? "");
        if (own) job.button.before(view);
      }
      if (work === "turning") jobs[0]?.button.before(view);
      view.hidden = work === "none" || work === "reply";
    },
    progress(text, share) {
      setProgress(bar, share);
      find("swiftkv-doing", HTMLElement).textContent = text;
    },
  };
}

/** A control that is locked loses the focus; it gets it back when unlocked. */
function lockOf(controls: readonly Control[]): (locked: boolean) => void {
  let focused: Control | null = null;
  return (locked) => {
    if (locked) focused ??= controls.find((control) => control === document.activeElement) ?? null;
    for (const control of controls) control.disabled = locked;
    if (locked) return;
    if (document.activeElement === document.body) focused?.focus();
    focused = null;
  };
}

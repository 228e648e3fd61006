// The panels beside the page. Each has a button in the header; one is open at a time.

import { find } from "../shared/dom.ts";

export interface SidePanel {
  open(): void;
  /** Hides it without moving the focus. */
  hide(): void;
}

interface Parts {
  panel: HTMLElement;
  opener: HTMLButtonElement;
  closer: HTMLButtonElement;
}

const panels: Parts[] = [];

function set({ panel, opener }: Parts, open: boolean): void {
  panel.hidden = !open;
  opener.setAttribute("aria-expanded", String(open));
  const covered = panels.some((other) => !other.panel.hidden) && matchMedia("(max-width: 62rem)").matches;
  find("main", HTMLElement).inert = covered; // it lies under the panel there
}

function open(parts: Parts): void {
  for (const other of panels) set(other, other === parts);
  parts.closer.focus();
}

function close(parts: Parts): void {
  set(parts, false);
  parts.opener.focus();
}

/** Connects #id, #id-button and #id-close. */
export function sidePanel(id: string): SidePanel {
  const parts = {
    panel: find(id, HTMLElement),
    opener: find(`${id}-button`, HTMLButtonElement),
    closer: find(`${id}-close`, HTMLButtonElement),
  };
  panels.push(parts);
  parts.opener.addEventListener("click", () => (parts.panel.hidden ? open : close)(parts));
  parts.closer.addEventListener("click", () => close(parts));
  return { open: () => open(parts), hide: () => set(parts, false) };
}

/** Closes the panel that is open, if any. */
export function closePanel(): void {
  const shown = panels.find(({ panel }) => !panel.hidden);
  if (shown) close(shown);
}

// A button that opens a few choices below it. The browser closes it on Esc and on a click elsewhere.

import { make } from "../shared/dom.ts";

export interface MenuItem {
  label: string;
  onChoose: () => unknown;
}

/** The button and its list. */
export function menu(label: string, items: readonly MenuItem[]): HTMLElement {
  const opener = make("button", { type: "button", className: "menu-button", textContent: "⋯" });
  opener.setAttribute("aria-label", label);
  const list = make("div", { className: "menu", popover: "auto" }, ...items.map((item) => choice(item)));
  list.firstElementChild?.setAttribute("autofocus", "");
  opener.popoverTargetElement = list;
  const close = (): void => list.hidePopover();
  list.addEventListener("toggle", () => {
    const isOpen = list.matches(":popover-open");
    opener.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) return removeEventListener("scroll", close, { capture: true });
    place(list, opener);
    addEventListener("scroll", close, { capture: true }); // it would stay where it is
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...list.querySelectorAll("button")];
    const at = all.findIndex((each) => each === document.activeElement);
    all.at((at + step) % all.length)?.focus();
  });
  return make("span", { className: "menu-holder" }, opener, list);
}

function choice({ label, onChoose }: MenuItem): HTMLElement {
  const element = make("button", { type: "button", textContent: label });
  element.addEventListener("click", () => {
    element.closest<HTMLElement>("[popover]")?.hidePopover();
    void onChoose();
  });
  return element;
}

/** Below the opener, or above it where there is no room; its right edges in line, within the window. */
function place(list: HTMLElement, opener: HTMLElement): void {
  const [{ top, bottom, right }, { width, height }] = [opener.getBoundingClientRect(), list.getBoundingClientRect()];
  const above = bottom + height + 8 > innerHeight;
  list.style.top = `${above ? Math.max(8, top - height - 4) : bottom + 4}px`;
  list.style.left = `${Math.max(8, Math.min(right - width, innerWidth - width - 8))}px`;
}

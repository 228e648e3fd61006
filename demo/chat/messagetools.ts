// What questions and replies can have done to them alike.

import { button, make } from "../shared/dom.ts";

/** What stands in the place of a message in all branches. */
export interface Versions {
  /** From 0. */
  at: number;
  of: number;
  onShow: (at: number) => unknown;
}

/** "‹ 2/3 ›"; nothing where there is one version only. */
export function versionArrows({ at, of, onShow }: Versions): HTMLElement[] {
  if (of === 1) return [];
  const arrow = (label: string, sign: string, to: number): HTMLElement => {
    const element = button(sign, "tool change arrow", () => onShow(to));
    element.setAttribute("aria-label", label);
    element.disabled = to < 0 || to >= of;
    return element;
  };
  const place = make("span", { className: "place", textContent: `${at + 1}/${of}` });
  place.setAttribute("aria-label", `version ${at + 1} of ${of}`);
  place.setAttribute("role", "img");
  const attributes = { role: "group", "aria-label": "Versions" };
  return [
    make(
      "span",
      { className: "versions", attributes },
      arrow("Earlier version", "‹", at - 1),
      place,
      arrow("Later version", "›", at + 1),
    ),
  ];
}

export function forkButton(onFork: () => unknown): HTMLElement {
  const element = button("Fork", "tool change", onFork);
  element.setAttribute("aria-label", "Fork: go on from here in a new conversation");
  element.title = "Go on from here in a new conversation";
  return element;
}

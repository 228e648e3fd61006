// The few DOM helpers that the pages need.

type Child = Node | string | null;
export type Properties<K extends keyof HTMLElementTagNameMap> = Partial<
  Omit<HTMLElementTagNameMap[K], "style" | "dataset" | "attributes">
> & {
  /** Attributes without a property of the same name: aria-*, role. */
  attributes?: Record<string, string>;
};

/** Makes an element. Text children become text nodes, never markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties<K> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const { attributes, ...rest } = properties;
  const element = document.createElement(tag);
  Object.assign(element, rest);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The element with this id. Throws if it is missing, since the page would be broken. */
export function find<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`page: no <${type.name}> with id "${id}"`);
  return element;
}

/** A button whose click may be asynchronous; it is disabled until that has finished. */
export function button(label: string, className: string, onClick: () => unknown): HTMLButtonElement {
  const element = make("button", { type: "button", className, textContent: label });
  element.addEventListener("click", async () => {
    element.disabled = true;
    try {
      await onClick();
    } finally {
      element.disabled = false;
    }
  });
  return element;
}

/** How far a progress bar has come, from 0 to 1; null = unknown. */
export function setProgress(bar: HTMLElement, share: number | null): void {
  bar.classList.toggle("endless", share === null);
  bar.style.setProperty("--done", `${100 * (share ?? 1)}%`);
  if (share === null) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
}

/** Saves a file under this name, as a click on a link to it would. */
export function saveFile(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

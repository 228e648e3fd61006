// The settings form: what it holds, its defaults, where they are kept.

import {
  KV_FORMATS,
  type GenerateOptions,
  type KvFormat,
  type LoadOptions,
  type ModelInfo,
  type Sampling,
} from "../../src/index.ts";
import { find } from "../shared/dom.ts";

const KEY = "longprompt.settings";

/** Sampling fields by their form names, with the value that means "off". */
const NUMBERS = { temperature: 0, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 } as const;
type NumberName = keyof typeof NUMBERS;
const names = Object.keys(NUMBERS) as NumberName[];

/** What a chat starts with where the model brings no advice of its own. */
const DEFAULTS: Sampling = { temperature: 0.7, topP: 0.95 };

export interface Settings {
  system(): string;
  generate(): GenerateOptions;
  load(): LoadOptions & { kv: KvFormat };
  /** Another storage of keys and values was taken up; the next model begins with it. */
  keep(kv: KvFormat): void;
  /** Takes over the sampling that the model's authors recommend, unless the user has moved the dials. */
  adopt(model: ModelInfo): void;
}

/** Connects the form in index.html. `onSystem` runs when the system prompt changes, because that changes the context used. */
export function settingsForm(onSystem: () => void): Settings {
  const form = find("settings-form", HTMLFormElement);
  const field = (name: string): HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement => {
    const element = form.elements.namedItem(name);
    if (
      element instanceof HTMLInputElement ||
      element instanceof HTMLTextAreaElement ||
      element instanceof HTMLSelectElement
    )
      return element;
    throw new Error(`settings: no field "${name}"`);
  };
  let advice: Sampling = DEFAULTS;
  let touched = false;

  const showSampling = (values: Sampling): void => {
    for (const name of names) field(name).value = String(values[name] ?? NUMBERS[name]);
    showOutputs(form);
  };
  form.addEventListener("input", (event) => {
    const name = event.target instanceof Element ? event.target.getAttribute("name") : null;
    touched ||= names.some((known) => known === name);
    showOutputs(form);
    if (name === "system") onSystem();
    store(form, touched);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  find("settings-reset", HTMLButtonElement).addEventListener("click", () => {
    touched = false;
    showSampling(advice);
    for (const name of ["seed", "maxTokens"]) field(name).value = "";
    store(form, touched);
  });

  showSampling(DEFAULTS);
  touched = restore(form);
  showOutputs(form);

  return {
    system: () => field("system").value.trim(),
    generate() {
      const sampling: Sampling = Object.fromEntries(
        names.map((name) => [name, numberOr(field(name).value, NUMBERS[name])]),
      );
      const seed = whole(field("seed").value);
      const maxTokens = whole(field("maxTokens").value);
      return { ...sampling, ...(seed === null ? {} : { seed }), ...(maxTokens ? { maxTokens } : {}) };
    },
    load() {
      const context = whole(field("context").value);
      const kv = KV_FORMATS.find((format) => format === field("kv").value) ?? "f16";
      return { kv, ...(context ? { context } : {}) };
    },
    keep(kv) {
      field("kv").value = kv;
      store(form, touched);
    },
    adopt(model) {
      // Greedy is what the engine says where a model brings nothing; small models then go round in circles.
      advice = model.sampling.temperature ? model.sampling : DEFAULTS;
      if (!touched) showSampling(advice);
      const contexts = field("context");
      if (!(contexts instanceof HTMLSelectElement)) return;
      for (const option of contexts.options) option.disabled = Number(option.value) > model.trainedContext;
    },
  };
}

function showOutputs(form: HTMLFormElement): void {
  for (const output of form.querySelectorAll("output")) {
    const input = form.elements.namedItem(output.htmlFor.value);
    if (input instanceof HTMLInputElement) output.textContent = Number(input.value).toFixed(2);
  }
}

const numberOr = (text: string, fallback: number): number =>
  text.trim() === "" || Number.isNaN(Number(text)) ? fallback : Number(text);

const whole = (text: string): number | null => (/^\d{1,9}$/.test(text.trim()) ? Number(text) : null);

function store(form: HTMLFormElement, touched: boolean): void {
  const values = Object.fromEntries([...new FormData(form)].filter(([, value]) => typeof value === "string"));
  try {
    localStorage.setItem(KEY, JSON.stringify({ touched, values }));
  } catch {
    // Private windows may refuse; the settings then last as long as the page.
  }
}

/** Whether the user had moved the sampling dials. */
function restore(form: HTMLFormElement): boolean {
  try {
    const saved: unknown = JSON.parse(localStorage.getItem(KEY) ?? "null");
    if (typeof saved !== "object" || saved === null || !("values" in saved)) return false;
    const touched = "touched" in saved && saved.touched === true;
    for (const [name, value] of Object.entries(saved.values as object)) {
      const input = form.elements.namedItem(name);
      const sampling = names.some((known) => known === name);
      if (input && "value" in input && typeof value === "string" && (touched || !sampling)) input.value = value;
    }
    return touched;
  } catch {
    return false;
  }
}

// The settings form: what it holds, its defaults, where they are kept.

import type { GenerateOptions, LoadOptions, ModelInfo, Sampling } from "../../src/index.ts";
import { find } from "../shared/dom.ts";
import { samplingFor } from "../shared/sampling.ts";
import { recipeList } from "./recipelist.ts";
import { DEFAULT_RECIPE, offered } from "./recipes.ts";

const KEY = "longprompt.settings";

/** Sampling fields by their form names, with the value that means "off". */
const NUMBERS = { temperature: 0, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 } as const;
type NumberName = keyof typeof NUMBERS;
const names = Object.keys(NUMBERS) as NumberName[];

/** Default context in tokens, for models that were trained for more. */
const MOST_CONTEXT = 32768;

/** Variables of chat templates that switch thinking on and off, and whether a template thinks if they are left out. */
const THINKING = { enable_thinking: true, thinking: false } as const;
type ThinkingName = keyof typeof THINKING;

export interface Settings {
  system(): string;
  generate(): GenerateOptions;
  /** For the chat template. */
  variables(): Record<string, boolean>;
  load(): LoadOptions & { kv: string };
  /** The recipe for keys and values has changed; the next model starts with it. */
  keep(kv: string): void;
  /** Applies the sampling that the model's authors recommend, unless the user has changed it; shows the memory it needs. */
  adopt(model: ModelInfo): void;
}

/** Connects the form in index.html. `onSystem` runs when the system prompt changes, because that changes the context used. */
export function settingsForm(onSystem: () => void): Settings {
  const form = find("settings-form", HTMLFormElement);
  const showPrices = recipeList();
  const field = (name: string): Field => fieldOf(form, name);
  let advice: Sampling = {};
  let thinking: ThinkingName | null = null;
  let touched = false;
  let model: ModelInfo | null = null;

  const showMemory = (): void => {
    if (model) showPrices(model, whole(field("context").value) || Math.min(model.trainedContext, MOST_CONTEXT));
  };
  const showSampling = (values: Sampling): void => {
    for (const name of names) field(name).value = shown(name, values[name] ?? NUMBERS[name]);
    showOutputs(form);
  };
  form.addEventListener("input", (event) => {
    const name = event.target instanceof Element ? event.target.getAttribute("name") : null;
    touched ||= names.some((known) => known === name);
    showOutputs(form);
    if (name === "system") onSystem();
    if (name === "context") showMemory();
    store(form, touched);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  find("settings-reset", HTMLButtonElement).addEventListener("click", () => {
    touched = false;
    showSampling(advice);
    for (const name of ["seed", "maxTokens"]) field(name).value = "";
    store(form, touched);
  });

  field("kv").value = DEFAULT_RECIPE;
  showSampling(advice);
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
    variables: () => (thinking ? { [thinking]: find("thinking", HTMLInputElement).checked } : {}),
    load() {
      const context = whole(field("context").value);
      return { kv: offered(field("kv").value), ...(context ? { context } : {}) };
    },
    keep(kv) {
      field("kv").value = kv;
      store(form, touched);
    },
    adopt(loaded) {
      model = loaded;
      advice = samplingFor(loaded);
      thinking = offerThinking(loaded);
      if (!touched) showSampling(advice);
      for (const option of find("context", HTMLSelectElement).options)
        option.disabled = Number(option.value) > loaded.trainedContext;
      showMemory();
    },
  };
}

/** Shows the switch where the model's template has one. */
function offerThinking({ templateVariables }: ModelInfo): ThinkingName | null {
  const found = templateVariables.find((name): name is ThinkingName => name in THINKING) ?? null;
  find("thinking-field", HTMLElement).hidden = found === null;
  if (found) find("thinking", HTMLInputElement).checked = THINKING[found];
  return found;
}

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement | RadioNodeList;

function fieldOf(form: HTMLFormElement, name: string): Field {
  const element = form.elements.namedItem(name);
  if (element && "value" in element) return element as Field;
  throw new Error(`settings: no field "${name}"`);
}

/** The placeholders of number fields say what an empty field means. */
const shown = (name: NumberName, value: number): string => (name === "topK" && value === 0 ? "" : String(value));

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
    // Private windows may refuse storage; the settings then last as long as the page.
  }
}

/** Whether the user had changed the sampling. */
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

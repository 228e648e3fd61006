// Errors as cards: what happened, and what to do about it.

import { EngineError, ModelError } from "../../src/index.ts";
import type { ErrorCode, GgufChoice } from "../../src/index.ts";
import { button, make } from "./dom.ts";
import { bytes, count } from "./numbers.ts";

/** Actions that a card can offer; the page decides which of them it supports. */
export type Remedy = "retry" | "newChat" | "pickModel" | "reload" | "settings" | "unload" | "useText";

interface Card {
  title: string;
  text: string;
  advice: readonly string[];
  remedies: readonly Remedy[];
}

export interface Trouble extends Card {
  /** The error's message. */
  detail: string;
  /** Files to load instead, the best choice first. */
  choices?: readonly GgufChoice[];
}

const LABELS: Record<Remedy, string> = {
  retry: "Try again",
  newChat: "Start a new chat",
  pickModel: "Choose another model",
  reload: "Load the model again",
  settings: "Open settings",
  unload: "Unload the model in use and try again",
  useText: "Use it as a long text",
};

/** Explains an error of `load` or `generate`. */
export function explain(error: unknown): Trouble {
  const detail = error instanceof Error ? error.message : String(error);
  if (error instanceof ModelError && error.choices.length > 0)
    return { ...SEVERAL, detail: "", choices: error.choices };
  return { ...cardOf(error), detail };
}

function cardOf(error: unknown): Card {
  if (!(error instanceof EngineError)) return UNKNOWN;
  if (error.code === "no-webgpu" && globalThis.isSecureContext === false) return INSECURE;
  return CARDS[error.code];
}

const SEVERAL: Card = {
  title: "This repository holds GGUF files: choose one",
  text: "Fewer bits are a smaller download and less memory; below 4 bits a small model answers noticeably worse.",
  advice: [],
  remedies: [],
};

/** What runs, in a sentence. docs/formats.md has it in detail. */
export const RUNS =
  "Models of the Llama, Mistral, Qwen, Gemma 3, Phi, Granite, OLMo 2 and SmolLM families run, as .safetensors or .gguf.";

/** Of a message that does not fit. All in tokens. */
export interface Excess {
  /** The message alone, and the conversation with it. */
  message: number;
  all: number;
  /** What the model has room for, and what it was trained for. */
  context: number;
  trained: number;
}

/** `context-too-small` with advice that helps: a new chat only where the message fits into one. */
export function tooLong({ message, all, context, trained }: Excess, error: unknown): Trouble {
  const fits = message < context;
  const advice = fits
    ? [`Start a new chat: alone, the message fits (${count(message)} tokens).`, "Or shorten it."]
    : [`Shorten it by ${count(message - context + 1)} tokens or more: alone, it already has ${count(message)}.`];
  const more = `Give the model a larger context in the settings: it was trained for ${count(trained)} tokens.`;
  return {
    ...CARDS["context-too-small"],
    text: `Together with this message, the conversation has ${count(all)} tokens; ${count(context - 1)} fit. The message is back in the box below.`,
    advice: trained > context ? [...advice, more] : advice,
    remedies: [...(fits ? ["newChat" as const] : []), ...(trained > context ? ["settings" as const] : []), "pickModel"],
    detail: error instanceof Error ? error.message : String(error),
  };
}

const INSECURE: Card = {
  title: "WebGPU needs a secure address",
  text: "Browsers give WebGPU only to pages from https:// or from localhost.",
  advice: ["Open this page as http://localhost:… on this machine, or serve it over https."],
  remedies: ["retry"],
};

const NO_GPU: Card = {
  title: "This browser gives the page no GPU",
  text: "longprompt computes on WebGPU, and this browser has it switched off or finds no graphics card for it.",
  advice: [
    "Chrome or Edge 113 and later, Safari 26 and Firefox 141 and later have WebGPU on most machines.",
    "In Chrome's settings under System, turn on graphics acceleration; chrome://gpu says what is blocked.",
    "On Linux, start Chrome with --enable-unsafe-webgpu --enable-features=Vulkan.",
  ],
  remedies: ["retry"],
};

const CARDS: Record<ErrorCode, Card> = {
  "no-webgpu": NO_GPU,
  "no-adapter": NO_GPU,
  "adapter-refused": {
    title: "This graphics card refuses a part of the engine",
    text: "Its driver does not compile one of the GPU programs that the model needs.",
    advice: ["Update the graphics driver and the browser.", "The line below helps whoever repairs it."],
    remedies: ["retry", "pickModel"],
  },
  "out-of-memory": {
    title: "Not enough memory",
    text: "The model with its context does not fit into the memory this browser may use.",
    advice: [
      "Close other tabs that use the GPU.",
      "Take a smaller model, a smaller context, or a smaller format for keys and values.",
    ],
    remedies: ["unload", "pickModel", "settings", "reload"],
  },
  "device-lost": {
    title: "The GPU went away",
    text: "The driver restarted, the machine slept, or the memory ran out. The conversation is still here.",
    advice: [
      "Load the model again and repeat the last message.",
      "If it keeps happening, take a smaller model or context.",
    ],
    remedies: ["reload", "pickModel"],
  },
  "no-worker": {
    title: "The engine's worker does not start",
    text: "The page may not load its script, or the browser has no such workers.",
    advice: ["Reload the page.", "Whoever serves it: its policy must allow scripts and workers of its own origin."],
    remedies: ["retry"],
  },
  "worker-lost": {
    title: "The engine's worker went away",
    text: "It ran out of memory, or the browser ended it. The conversation is still here.",
    advice: ["Load the model again and repeat the last message."],
    remedies: ["reload", "pickModel"],
  },
  "context-too-small": {
    title: "Too long for the context",
    text: "The conversation with this message needs more tokens than the model has room for.",
    advice: ["Shorten the message."],
    remedies: [],
  },
  "not-public": {
    title: "No such model, or not a public one",
    text: "Hugging Face answers the same for a model that does not exist and for one it does not show to everybody.",
    advice: [
      "Check the spelling: a Hugging Face id is owner/name.",
      "If the model needs a login, download its files on huggingface.co and drop them here.",
    ],
    remedies: ["pickModel"],
  },
  gated: {
    title: "This model asks for a login",
    text: "Its owner gives it only to people who accepted the licence on Hugging Face, and this page keeps no login.",
    advice: [
      "Accept the licence on huggingface.co, download the files, and drop them here.",
      "Or take an open copy: many models have one, such as unsloth/Llama-3.2-1B-Instruct.",
    ],
    remedies: ["pickModel"],
  },
  "not-found": {
    title: "There is no such model",
    text: "The address leads nowhere, or the files this engine needs are not there.",
    advice: [
      "Check the spelling: a Hugging Face id is owner/name.",
      "It needs config.json, tokenizer.json and .safetensors, or one .gguf.",
    ],
    remedies: ["pickModel"],
  },
  network: {
    title: "No connection to the model's host",
    text: "The download did not start or broke off: this machine is offline, the host is busy, a proxy stands between, or the host forbids other pages (CORS).",
    advice: [
      "Check the connection and try again; what has arrived is kept.",
      "Fable and models from your own disk need no network.",
    ],
    remedies: ["retry", "pickModel"],
  },
  "storage-full": {
    title: "The browser has no room to keep this model",
    text: "Models are kept in the browser's storage, so that the next visit needs no download, and this one does not fit.",
    advice: ["Delete a model that is kept, or make room on the disk.", "Or take a smaller model."],
    remedies: ["retry", "pickModel"],
  },
  "unsupported-model": {
    title: "This engine cannot run that model",
    text: "Its architecture or its file format is not among those implemented.",
    advice: [RUNS],
    remedies: ["pickModel"],
  },
  "bad-file": {
    title: "The model's files do not fit together",
    text: "A file is damaged, incomplete, or belongs to another model.",
    advice: ["Load it once more; if the message stays, download the files again."],
    remedies: ["retry", "pickModel"],
  },
  "bad-source": {
    title: "That is no model",
    text: "A model is one .gguf file, a folder with config.json and .safetensors, a Hugging Face id, or the address of one of these.",
    advice: ["The line below says what arrived instead."],
    remedies: ["pickModel"],
  },
  "bad-prompt": {
    title: "The model does not take this message",
    text: "It is empty, or the model's chat template refuses the conversation.",
    advice: ["The line below says why.", "Some templates allow no system prompt; it can be emptied in the settings."],
    remedies: ["settings", "newChat"],
  },
  "bad-option": {
    title: "The engine did not accept this",
    text: "One of the settings asks for something impossible.",
    advice: ["The line below says which."],
    remedies: ["settings"],
  },
  "no-timestamps": {
    title: "This browser times no kernels",
    text: "WebGPU has clocks for single kernels only where the browser allows it.",
    advice: ["In Chrome, switch on “WebGPU Developer Features” under chrome://flags."],
    remedies: [],
  },
  "other-engine": {
    title: "It belongs to another model",
    text: "What was saved goes with one model and one way of keeping keys and values, and these are others.",
    advice: ["Load the model that the line below names, or delete what was saved."],
    remedies: ["pickModel", "settings"],
  },
  disposed: {
    title: "The model is no longer loaded",
    text: "It was given back while something still wanted to use it.",
    advice: ["Load the model again."],
    remedies: ["reload", "pickModel"],
  },
};

const UNKNOWN: Card = {
  title: "Something broke",
  text: "This should not happen. The line below helps whoever repairs it.",
  advice: ["Load the model again, or reload the page."],
  remedies: ["retry", "reload", "pickModel"],
};

/** The card. Only actions that `act` has become buttons. `onChoose`: one of the files was chosen. */
export function troubleCard(
  trouble: Trouble,
  act: Partial<Record<Remedy, () => unknown>>,
  onChoose: (choice: GgufChoice) => unknown = () => {},
): HTMLElement {
  const actions = trouble.remedies.flatMap((remedy) => {
    const action = act[remedy];
    return action ? [button(LABELS[remedy], "quiet", action)] : [];
  });
  return make(
    "section",
    { className: "trouble", attributes: { role: "alert" } },
    make("h2", { textContent: trouble.title }),
    make("p", { textContent: trouble.text }),
    trouble.advice.length > 0
      ? make("ul", {}, ...trouble.advice.map((line) => make("li", { textContent: line })))
      : null,
    trouble.detail ? make("p", { className: "detail", textContent: trouble.detail }) : null,
    make("div", { className: "actions" }, ...choiceButtons(trouble.choices ?? [], onChoose), ...actions),
  );
}

/** Precision and size on each; the first is the one to take. */
const choiceButtons = (choices: readonly GgufChoice[], onChoose: (choice: GgufChoice) => unknown): HTMLElement[] =>
  choices.map((choice, index) => {
    const size = choice.bytes === null ? "" : `, ${bytes(choice.bytes)}`;
    const label = `${index === 0 ? "Load " : ""}${choice.precision}${size}`;
    return button(label, index === 0 ? "primary" : "quiet", () => onChoose(choice));
  });

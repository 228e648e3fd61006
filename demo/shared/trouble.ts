// Errors as cards: what happened, and the way out.

import { DeviceLostError, InputError, ModelError, UnsupportedError } from "../../src/index.ts";
import { button, make } from "./dom.ts";

/** What a card can offer; the page decides which of them it can do. */
export type Way = "retry" | "newChat" | "pickModel" | "reload" | "settings";

export interface Trouble {
  title: string;
  text: string;
  advice: readonly string[];
  ways: readonly Way[];
  /** The error's own words. */
  detail: string;
}

const LABELS: Record<Way, string> = {
  retry: "Try again",
  newChat: "Start a new chat",
  pickModel: "Choose another model",
  reload: "Load the model again",
  settings: "Open settings",
};

/** Explains an error of `load` or `generate`. */
export function explain(error: unknown): Trouble {
  const detail = error instanceof Error ? error.message : String(error);
  const known = RULES.find((rule) => rule.when(error, detail));
  const { title, text, advice, ways } = known ?? UNKNOWN;
  return { title, text, advice, ways, detail };
}

interface Rule extends Omit<Trouble, "detail"> {
  when: (error: unknown, message: string) => boolean;
}

const noGpu = (error: unknown, message: string): boolean =>
  !("gpu" in navigator) || (error instanceof UnsupportedError && /webgpu|adapter|navigator\.gpu/i.test(message));

/** The first that fits wins. */
const RULES: readonly Rule[] = [
  {
    when: (error, message) => noGpu(error, message) && !isSecureContext,
    title: "WebGPU needs a secure address",
    text: "Browsers give WebGPU only to pages from https:// or from localhost.",
    advice: ["Open this page as http://localhost:… on this machine, or serve it over https."],
    ways: ["retry"],
  },
  {
    when: noGpu,
    title: "This browser gives the page no GPU",
    text: "longprompt computes on WebGPU, and this browser has it switched off or finds no graphics card for it.",
    advice: [
      "Chrome or Edge 113 and later, Safari 26 and Firefox 141 and later have WebGPU on most machines.",
      "In Chrome's settings under System, turn on graphics acceleration; chrome://gpu says what is blocked.",
      "On Linux, start Chrome with --enable-unsafe-webgpu --enable-features=Vulkan.",
    ],
    ways: ["retry"],
  },
  {
    when: (_, message) =>
      /out of memory|memory limit|not enough memory|allocat|quota|GPU (memory|buffer)/i.test(message),
    title: "Not enough memory",
    text: "The model with its context does not fit into the memory this browser may use.",
    advice: [
      "Close other tabs that use the GPU.",
      "Take a smaller model, a smaller context, or f16 for keys and values.",
    ],
    ways: ["pickModel", "settings", "reload"],
  },
  {
    when: (error) => error instanceof DeviceLostError,
    title: "The GPU went away",
    text: "The driver restarted, the machine slept, or the memory ran out. The conversation is still here.",
    advice: [
      "Load the model again and repeat the last message.",
      "If it keeps happening, take a smaller model or context.",
    ],
    ways: ["reload", "pickModel"],
  },
  {
    when: (error, message) => error instanceof InputError && /context|longer|fit/i.test(message),
    title: "Too long for the context",
    text: "The conversation with this message needs more tokens than the model has room for. It is back in the box below.",
    advice: ["Shorten it, or start a new chat.", "If the model was trained for more, give it a larger context."],
    ways: ["newChat", "settings"],
  },
  {
    when: (_, message) => /no public model|access refused/i.test(message),
    title: "No such model, or not a public one",
    text: "Hugging Face answers the same for a model that does not exist and for one it does not show to everybody.",
    advice: [
      "Check the spelling: a Hugging Face id is owner/name.",
      "If the model needs a login, download its files on huggingface.co and drop them here.",
    ],
    ways: ["pickModel"],
  },
  {
    when: (_, message) => /gated|\b40[13]\b|unauthori[sz]ed|forbidden|licen[cs]e/i.test(message),
    title: "This model asks for a login",
    text: "Its owner gives it only to people who accepted the licence on Hugging Face, and this page keeps no login.",
    advice: [
      "Accept the licence on huggingface.co, download the files, and drop them here.",
      "Or take an open copy: many models have one, such as unsloth/Llama-3.2-1B-Instruct.",
    ],
    ways: ["pickModel"],
  },
  {
    when: (error, message) =>
      !navigator.onLine || /failed to fetch|load failed|networkerror|CORS/i.test(message) || error instanceof TypeError,
    title: "No connection to the model's host",
    text: "The download did not start or broke off: this machine is offline, a proxy stands between, or the host forbids other pages (CORS).",
    advice: [
      "Check the connection and try again; what has arrived is kept.",
      "Fable and models from your own disk need no network.",
    ],
    ways: ["retry", "pickModel"],
  },
  {
    when: (_, message) => /\b404\b|not found|no such/i.test(message),
    title: "There is no such model",
    text: "The address leads nowhere, or the files this engine needs are not there.",
    advice: [
      "Check the spelling: a Hugging Face id is owner/name.",
      "It needs config.json, tokenizer.json and .safetensors, or one .gguf.",
    ],
    ways: ["pickModel"],
  },
  {
    when: (_, message) => /network|timed? ?out|connection|HTTP 5\d\d/i.test(message),
    title: "The download broke off",
    text: "The host stopped answering.",
    advice: ["Try again; what has arrived is kept."],
    ways: ["retry", "pickModel"],
  },
  {
    when: (error) => error instanceof UnsupportedError,
    title: "This engine cannot run that model",
    text: "Its architecture or its file format is not among those implemented.",
    advice: ["Models of the Llama and Qwen2 families run, as .safetensors or .gguf."],
    ways: ["pickModel"],
  },
  {
    when: (error) => error instanceof ModelError,
    title: "The model's files do not fit together",
    text: "A file is damaged, incomplete, or belongs to another model.",
    advice: ["Load it once more; if the message stays, download the files again."],
    ways: ["retry", "pickModel"],
  },
  {
    when: (error) => error instanceof InputError,
    title: "The engine did not accept this",
    text: "One of the settings or the message asks for something impossible.",
    advice: ["The line below says which."],
    ways: ["settings"],
  },
];

const UNKNOWN: Omit<Trouble, "detail"> = {
  title: "Something broke",
  text: "This should not happen. The line below helps whoever repairs it.",
  advice: ["Load the model again, or reload the page."],
  ways: ["retry", "reload", "pickModel"],
};

/** The card. Only the ways that `act` knows become buttons. */
export function troubleCard(trouble: Trouble, act: Partial<Record<Way, () => unknown>>): HTMLElement {
  const actions = trouble.ways.flatMap((way) => {
    const action = act[way];
    return action ? [button(LABELS[way], "quiet", action)] : [];
  });
  return make(
    "section",
    { className: "trouble", attributes: { role: "alert" } },
    make("h2", { textContent: trouble.title }),
    make("p", { textContent: trouble.text }),
    make("ul", {}, ...trouble.advice.map((line) => make("li", { textContent: line }))),
    make("p", { className: "detail", textContent: trouble.detail }),
    make("div", { className: "actions" }, ...actions),
  );
}

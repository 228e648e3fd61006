// The page on which JSON and functions are tried: a schema holds a reply to its form; functions are called, and answered by hand.

import {
  type ChatCompletionRequest,
  type ChatMessage,
  type CompletionFinish,
  type Engine,
  load,
} from "../../src/index.ts";
import type { ModelSource, ToolCall } from "../../src/index.ts";
import { embedded } from "../shared/catalogue.ts";
import { find, make, setProgress } from "../shared/dom.ts";
import { fileKind, wrongFile } from "../shared/dropped.ts";
import { seconds } from "../shared/numbers.ts";
import { nameOfSource, picker } from "../shared/picker.ts";
import { samplingFor } from "../shared/sampling.ts";
import { explain, troubleCard } from "../shared/trouble.ts";
import { type Example, FUNCTIONS, SCHEMAS } from "./examples.ts";
import { faultOf, readFunctions, readSchema } from "./reading.ts";
import { askedView, replyView, type ReplyView } from "./turns.ts";

const form = find("tools-form", HTMLFormElement);
const ask = find("tools-ask", HTMLTextAreaElement);
const schema = find("tools-schema", HTMLTextAreaElement);
const functions = find("tools-functions", HTMLTextAreaElement);
const choice = find("tools-choice", HTMLSelectElement);
const run = find("tools-run", HTMLButtonElement);
const stop = find("tools-stop", HTMLButtonElement);
const fault = find("tools-fault", HTMLElement);
const trouble = find("tools-trouble", HTMLElement);
const turns = find("tools-turns", HTMLElement);

let chosen: { source: ModelSource; name: string } = embedded;
let loaded: { engine: Engine; source: ModelSource } | null = null;
let running: AbortController | null = null;

type Mode = "json" | "functions";
const mode = (): Mode => (new FormData(form).get("mode") === "json" ? "json" : "functions");

/** The model, loaded once for a source. */
async function engine(signal: AbortSignal): Promise<Engine> {
  if (loaded?.source === chosen.source) return loaded.engine;
  loaded?.engine.dispose();
  loaded = null;
  const { source } = chosen;
  const onProgress = ({ loadedBytes, totalBytes }: { loadedBytes: number; totalBytes: number }): void =>
    show("Loading the model", totalBytes > 0 && loadedBytes < totalBytes ? loadedBytes / totalBytes : null);
  loaded = { engine: await load(source, { signal, onProgress }), source };
  return loaded.engine;
}

function show(text: string | null, share: number | null = null): void {
  find("tools-progress", HTMLElement).hidden = text === null;
  setProgress(find("tools-bar", HTMLElement), share);
  find("tools-phase", HTMLElement).textContent = text ?? "";
}

/** Begins anew with what the form says. */
async function begin(): Promise<void> {
  const asked = ask.value.trim();
  let wanted: Partial<ChatCompletionRequest>;
  try {
    wanted = readWanted();
    fault.textContent = "";
  } catch (error) {
    fault.textContent = error instanceof Error ? error.message : String(error);
    return (mode() === "json" ? schema : functions).focus();
  }
  turns.replaceChildren(askedView(asked));
  await step([{ role: "user", content: asked }], wanted);
}

function readWanted(): Partial<ChatCompletionRequest> {
  const max_tokens = Number(find("tools-most", HTMLInputElement).value) || 256;
  if (mode() === "json") {
    const json_schema = { name: "reply", schema: readSchema(schema.value) };
    return { max_tokens, response_format: { type: "json_schema", json_schema } };
  }
  const tool_choice = choice.value === "required" ? "required" : "auto";
  return { max_tokens, tools: readFunctions(functions.value), tool_choice };
}

/** One reply; where it calls functions, their results lead to the next. */
async function step(messages: readonly ChatMessage[], wanted: Partial<ChatCompletionRequest>): Promise<void> {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  setRunning(true);
  const view = replyView(chosen.name);
  try {
    const model = await engine(signal);
    show(null);
    turns.append(view.element);
    view.element.scrollIntoView({ block: "nearest" });
    const started = performance.now();
    const reply = await read(model, { ...sampling(model), ...wanted, messages, stream: true }, view, signal);
    view.ended(reply.finish, seconds(performance.now() - started));
    await finish(reply, view, messages, wanted);
    view.element.scrollIntoView({ block: "nearest" }); // on a phone it lies below the form
  } catch (error) {
    if (signal.aborted) view.ended("stopped", "a moment");
    else fail(error, view);
  } finally {
    running = null;
    show(null);
    setRunning(false);
  }
}

interface Read {
  thought: string;
  text: string;
  calls: ToolCall[];
  finish: CompletionFinish;
}

async function read(
  model: Engine,
  request: ChatCompletionRequest & { stream: true },
  view: ReplyView,
  signal: AbortSignal,
): Promise<Read> {
  const reply: Read = { thought: "", text: "", calls: [], finish: "stop" };
  for await (const { choices } of await model.chat.completions.create(request, { signal })) {
    const [first] = choices;
    if (!first) continue;
    reply.thought += first.delta.reasoning_content ?? "";
    reply.text += first.delta.content ?? "";
    for (const { id, type, function: called } of first.delta.tool_calls ?? [])
      reply.calls.push({ id, type, function: called });
    reply.finish = first.finish_reason ?? reply.finish;
    view.writing(reply.text, reply.thought);
  }
  return reply;
}

async function finish(
  { thought, text, calls }: Read,
  view: ReplyView,
  messages: readonly ChatMessage[],
  wanted: Partial<ChatCompletionRequest>,
): Promise<void> {
  const { response_format: format } = wanted;
  if (format?.type === "json_schema") view.json(text, await faultOf(text, format.json_schema.schema ?? {}));
  if (calls.length === 0) return;
  view.calls(calls, (results) => {
    const answers = calls.map(({ id }, at): ChatMessage => ({ role: "tool", tool_call_id: id, content: results[at]! }));
    const said: ChatMessage = {
      role: "assistant",
      reasoning_content: thought || null,
      content: text || null,
      tool_calls: calls,
    };
    void step([...messages, said, ...answers], { ...wanted, tool_choice: "auto" });
  });
}

function fail(error: unknown, view: ReplyView): void {
  view.element.remove();
  const card = troubleCard(explain(error), { retry: begin, pickModel: () => showPicker(true) });
  trouble.replaceChildren(card);
  card.scrollIntoView({ block: "nearest" });
}

function sampling(model: Engine): Partial<ChatCompletionRequest> {
  const { temperature = 0, topP = 1, topK = 0, minP = 0, repetitionPenalty = 1 } = samplingFor(model.model);
  return { temperature, top_p: topP, top_k: topK, min_p: minP, repetition_penalty: repetitionPenalty };
}

function setRunning(on: boolean): void {
  const hadFocus = document.activeElement === run || document.activeElement === stop;
  if (on) trouble.replaceChildren();
  run.hidden = on;
  stop.hidden = !on;
  if (hadFocus) (on ? stop : run).focus();
}

function showMode(): void {
  find("tools-json-part", HTMLElement).hidden = mode() !== "json";
  find("tools-functions-part", HTMLElement).hidden = mode() === "json";
}

function showPicker(open: boolean): void {
  find("picker-list", HTMLElement).hidden = !open;
  find("tools-change", HTMLButtonElement).setAttribute("aria-expanded", String(open));
}

function choose(source: ModelSource, name: string): void {
  chosen = { source, name };
  find("tools-model", HTMLElement).textContent = name;
  showPicker(false);
}

function take({ ask: text, value }: Example, field: HTMLTextAreaElement): void {
  ask.value = text;
  field.value = JSON.stringify(value, null, 2);
  fault.textContent = "";
}

function connect(): void {
  const examples = find("tools-example", HTMLSelectElement);
  examples.append(...SCHEMAS.map(({ name }) => make("option", { textContent: name })));
  examples.addEventListener("change", () => take(SCHEMAS[examples.selectedIndex]!, schema));
  for (const radio of form.querySelectorAll<HTMLInputElement>("[name=mode]"))
    radio.addEventListener("change", () => {
      showMode();
      ask.value = mode() === "json" ? SCHEMAS[examples.selectedIndex]!.ask : FUNCTIONS.ask;
    });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void begin();
  });
  stop.addEventListener("click", () => running?.abort());
  addEventListener("keydown", (event) => void (event.key === "Escape" && running?.abort()));
  find("tools-change", HTMLButtonElement).addEventListener("click", () =>
    showPicker(find("picker-list", HTMLElement).hidden === true),
  );
  take(FUNCTIONS, functions);
  take(SCHEMAS[0]!, schema);
  showMode();
}

connect();
const asked = new URLSearchParams(location.search).get("model");
if (asked) choose(asked, nameOfSource(asked));
else choose(embedded.source, embedded.name);
void picker(find("picker-list", HTMLElement), {
  onChoose: choose,
  onWrong: async (file) => trouble.replaceChildren(wrongFile(file.name, await fileKind(file))),
});

// The quality report on the page: what the form asks for, and the result as a chart and tables.

import { InputError } from "../../src/index.ts";
import { MEASURES } from "../quality/measure.ts";
import { DEFAULTS } from "../quality/report.ts";
import type { QualityOptions } from "../quality/report.ts";
import type { QualityResult } from "../quality/result.ts";
import { needleTable, noteOf, tableOf } from "../quality/table.ts";
import type { Text } from "../quality/texts.ts";
import { find, make } from "../shared/dom.ts";
import { downloads, heading, table } from "./report.ts";
import { scatters, standalone } from "./scatter.ts";

/** What the form asks for. */
export async function readQuality(form: HTMLFormElement): Promise<Omit<QualityOptions, "source">> {
  const data = new FormData(form);
  const whole = (name: "prompt" | "continuation" | "windows"): number => Number(data.get(name)) || DEFAULTS[name];
  const own = data.get("text") === "own";
  const files = own ? await readFiles("quality-files") : [];
  if (own && files.length === 0) throw new InputError("text: got no file, want at least one. Choose one.");
  const isChat = ({ name }: Text): boolean => /\.jsonl$/i.test(name);
  return {
    rows: String(data.get("rows")),
    texts: files.filter((file) => !isChat(file)),
    chats: files.filter(isChat),
    calibrate: await readFiles("calibrate-files"),
    measures: data.getAll("measure").map(String),
    prompt: whole("prompt"),
    continuation: whole("continuation"),
    windows: whole("windows"),
  };
}

const chosenFiles = (id: string): File[] => [...(find(id, HTMLInputElement).files ?? [])];

const readFiles = (id: string): Promise<Text[]> =>
  Promise.all(chosenFiles(id).map(async (file) => ({ name: file.name, text: await file.text() })));

const TITLES: Readonly<Record<(typeof MEASURES)[number], string>> = {
  ce: "Cross-entropy and KL",
  greedy: "Greedy replies",
  needle: "Needles",
  second: "Second questions",
  qa: "Questions",
};

/** Fills the form's boxes and says which files are chosen. */
export function prepareQuality(form: HTMLFormElement): void {
  const boxes = MEASURES.map((value) =>
    make(
      "label",
      { className: "check" },
      make("input", { type: "checkbox", name: "measure", value, checked: true }),
      TITLES[value],
    ),
  );
  find("measures", HTMLElement).append(...boxes);
  for (const name of ["rows", "prompt", "continuation", "windows"] as const) {
    const field = form.elements.namedItem(name);
    if (field instanceof HTMLInputElement && field.value === "") field.value = String(DEFAULTS[name]);
  }
  showChosen("quality-files", "quality-chosen", "no file chosen", () => {
    const own = form.querySelector<HTMLInputElement>("input[name=text][value=own]");
    if (own) own.checked = true;
  });
  showChosen("calibrate-files", "calibrate-chosen", "the built-in stories", () => {});
}

/** Says beside a file field what is chosen. */
function showChosen(id: string, place: string, none: string, onChange: () => void): void {
  const show = (): void => {
    const names = chosenFiles(id).map(({ name }) => name);
    find(place, HTMLElement).textContent = names.length > 0 ? names.join(", ") : none;
  };
  find(id, HTMLInputElement).addEventListener("change", () => {
    onChange();
    show();
  });
  show();
}

/** Fills `target`. `name` = the model as people call it. */
export function showQuality(target: HTMLElement, result: QualityResult, name: string): void {
  const { head, rows } = tableOf(result);
  const depths = needleTable(result);
  target.replaceChildren(
    ...heading(result, `${name}, quality of its cache,`),
    ...charts(result),
    table("Quality", head, [{ rows }], noteOf(result)),
    ...(depths ? [table("Needles by length and depth", depths.head, [{ rows: depths.rows }], NEEDLES)] : []),
    downloads(result),
  );
}

const NEEDLES =
  "A sentence with a number in a text of so many tokens, at so many percent of it; the share of the number's digits that are right when the reply is led to it.";

function charts({ rows }: QualityResult): HTMLElement[] {
  const figures = scatters(rows).map(({ svg, better }) => {
    const strong = make("strong", { textContent: "What the bytes buy" });
    return make("figure", { className: "scatter" }, make("figcaption", {}, strong, ` ${better}`), svg);
  });
  if (figures.length === 0) return [];
  const names = rows.map(({ row }) => make("li", { textContent: row }));
  const key = make(
    "section",
    { className: "key" },
    make("p", { className: "hint", textContent: "The line leads through the best that there is for so many bytes." }),
    make("ol", {}, ...names),
  );
  return [make("div", { className: "scatters" }, ...figures, key)];
}

/** For the command line: texts of the tables, and the drawing as a file. */
export function drawQuality(result: QualityResult): {
  tables: { head: string[]; rows: string[][] }[];
  note: string;
  svg: string | null;
} {
  const drawings = scatters(result.rows);
  const tables = [tableOf(result), needleTable(result)].filter((each) => each !== null);
  return { tables, note: noteOf(result), svg: drawings.length > 0 ? standalone(drawings, result.rows) : null };
}

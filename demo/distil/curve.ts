// The curve of the loss: every step thin, a running mean over it.

import { figure } from "../shared/numbers.ts";

const HEIGHT = 240;
const PLACE = { left: 44, right: 12, top: 12, bottom: 28 };
/** Losses of single windows differ: so many steps are averaged. */
const AVERAGED = 8;

const NAMESPACE = "http://www.w3.org/2000/svg";

function shape(tag: string, attributes: Record<string, string | number>, text = ""): SVGElement {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.textContent = text;
  return element;
}

/** Mean of each value and those before it. */
const running = (values: readonly number[]): number[] =>
  values.map((_, i) => {
    const some = values.slice(Math.max(0, i + 1 - AVERAGED), i + 1);
    return some.reduce((sum, value) => sum + value, 0) / some.length;
  });

/** A round number of at least `value`: 1, 2 or 5 times a power of ten. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((round) => round >= value)!;
}

/** `losses` of the steps so far, of `steps`; `width` in pixels, so that its text has the page's size. */
export function curve(losses: readonly number[], steps: number, width: number): SVGElement {
  const top = roundUp(Math.max(1e-6, ...losses));
  const x = (step: number) => PLACE.left + ((width - PLACE.left - PLACE.right) * step) / Math.max(1, steps);
  const y = (loss: number) => HEIGHT - PLACE.bottom - ((HEIGHT - PLACE.top - PLACE.bottom) * loss) / top;
  const means = running(losses);
  const last = means.at(-1) ?? 0;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, class: "curve", role: "img" });
  svg.append(shape("title", {}, `Loss after ${losses.length} of ${steps} steps: ${figure(last)}`));
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const at = y(share * top);
    svg.append(shape("line", { class: "grid", x1: PLACE.left, x2: width - PLACE.right, y1: at, y2: at }));
    svg.append(shape("text", { x: PLACE.left - 6, y: at + 4, "text-anchor": "end" }, figure(share * top)));
  }
  for (const step of [0, steps])
    svg.append(
      shape("text", { x: x(step), y: HEIGHT - 8, "text-anchor": step === 0 ? "start" : "end" }, `step ${step}`),
    );
  const line = (values: readonly number[]) => values.map((value, i) => `${x(i + 1)},${y(value)}`).join(" ");
  svg.append(shape("polyline", { class: "each", points: line(losses) }));
  svg.append(shape("polyline", { class: "mean", points: line(means) }));
  return svg;
}

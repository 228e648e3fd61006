// The charts of a comparison that hold all variants, with their legend, as one file.

import { storage, writing } from "./comparison.ts";
import type { CompareResult } from "./compare.ts";
import { linesPlot, marker, shape } from "./plot.ts";

const WIDTH = 440;
const HEIGHT = 290;
const LINE = 20;
const TITLE = 28;

/** Text of an SVG: time of a new token and bytes of a prompt, by its length. */
export function drawComparison(result: CompareResult): string {
  const charts = [writing(result), storage(result)];
  const names = charts[0]!.lines.map(({ name }) => name);
  const rows = Math.ceil(names.length / 2);
  const height = TITLE + HEIGHT + LINE * rows + 12;
  const svg = shape("svg", { viewBox: `0 0 ${2 * WIDTH} ${height}`, width: 2 * WIDTH, height });
  const style = shape("style", {});
  style.textContent = STYLE;
  svg.append(style);
  for (const [i, chart] of charts.entries()) {
    const plot = linesPlot(chart).svg;
    place(plot, { x: i * WIDTH, y: TITLE, width: WIDTH, height: HEIGHT });
    svg.append(text(`${chart.title}${chart.note}`, i * WIDTH + 16, 20), plot);
  }
  for (const [i, name] of names.entries()) {
    const [x, y] = [16 + (i % 2) * WIDTH, TITLE + HEIGHT + LINE * Math.floor(i / 2)];
    const symbol = marker(i);
    place(symbol, { x, y, width: 28, height: 14 });
    svg.append(symbol, text(name, x + 38, y + 11));
  }
  return `${new XMLSerializer().serializeToString(svg)}\n`;
}

function place(element: SVGElement, at: Record<"x" | "y" | "width" | "height", number>): void {
  for (const [name, value] of Object.entries(at)) element.setAttribute(name, String(value));
}

function text(content: string, x: number, y: number): SVGElement {
  const element = shape("text", { x, y });
  element.textContent = content;
  return element;
}

const LIGHT = ["#17211e", "#17705f", "#b4560a", "#3d5fc4", "#a32f6d", "#6b7a12", "#7746b8"];
const DARK = ["#e4eae7", "#5fd0b8", "#f0a04b", "#8fb0ff", "#f08abb", "#c3d15a", "#bd9cf5"];
const coloured = (colours: readonly string[]): string =>
  colours.map((colour, i) => `.series-${i} { color: ${colour}; }`).join(" ");

/** As the page has it, in a file of its own. */
const STYLE = `
svg { background: #ffffff; font: 12px system-ui, sans-serif; }
text { fill: #17211e; } .tick { fill: #53615c; } .grid { stroke: #d5ddd9; }
.line, .predicted { fill: none; stroke: currentColor; stroke-width: 2; } .whisker { stroke: currentColor; stroke-width: 1.5; }
.dot { fill: currentColor; }
${coloured(LIGHT)}
@media (prefers-color-scheme: dark) {
  svg { background: #1b2220; }
  text { fill: #e4eae7; } .tick { fill: #9daba5; } .grid { stroke: #2b3532; }
  ${coloured(DARK)}
}`;

"""Draws what find.py found: KL against calibration tokens, and against K. python plot.py DIR/rows.jsonl FILE.svg"""
import json
import math
import pathlib
import sys

WIDTH, HEIGHT, GAP = 400, 300, 20
LEFT, RIGHT, TOP, BOTTOM = 56, 84, 36, 46
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

STYLE = """
svg { background: #ffffff; font: 12px system-ui, sans-serif; }
text { fill: #17211e; } .tick { fill: #53615c; } .grid { stroke: #d5ddd9; }
.line { fill: none; stroke-width: 2; } .a { --c: #17705f; } .b { --c: #a65a00; } .c { --c: #6a5acd; }
.line { stroke: var(--c); } .dot, .name { fill: var(--c); } .dashed { stroke-dasharray: 4 4; }
@media (prefers-color-scheme: dark) {
  svg { background: #1b2220; } text { fill: #e4eae7; } .tick { fill: #9daba5; } .grid { stroke: #2b3532; }
  .a { --c: #5fd0b8; } .b { --c: #f0b45a; } .c { --c: #b3a8f5; }
}
"""


def mean_kl(row):
    """Over the kinds of text."""
    return sum(kind["kl"] for kind in row["held"].values()) / len(row["held"])


def text(x, y, content, style="tick", anchor="middle"):
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{content}</text>'


class Panel:
    """Logarithmic KL over `ticks`, which are evenly spaced in `place`."""

    def __init__(self, at, title, foot, ticks, place, label):
        self.at, self.place, self.ticks = at, place, ticks
        self.low, self.high = place(ticks[0]), place(ticks[-1])
        self.parts = [text(at + LEFT - 40, 18, title, "title", "start"), text(at + (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, foot)]
        for level in LEVELS:
            y = self.y(level)
            self.parts.append(f'<line class="grid" x1="{at + LEFT}" x2="{at + WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            self.parts.append(text(at + LEFT - 8, y + 4, f"{level:g}", anchor="end"))
        self.parts += [text(self.x(tick), HEIGHT - BOTTOM + 18, label(tick)) for tick in ticks]

    def x(self, value):
        return self.at + LEFT + (self.place(value) - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def y(self, kl):
        share = (math.log(kl) - math.log(LEVELS[0])) / (math.log(LEVELS[-1]) - math.log(LEVELS[0]))
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def line(self, points, colour, name, dashed=False, shift=0):
        """`points`: (x, KL); `shift`: of the name, down"""
        places = [(self.x(x), self.y(kl)) for x, kl in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        self.parts.append(f'<polyline class="line {colour}{" dashed" if dashed else ""}" points="{path}"/>')
        self.parts += [f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
        self.parts.append(text(places[-1][0] + 8, places[-1][1] + 4 + shift, name, f"name {colour}", "start"))


def tokens_panel(rows):
    ticks = sorted({row["tokens"] for row in rows if row["about"] == "tokens"})
    panel = Panel(0, "KL, nats per token", "calibration tokens", ticks, math.log, lambda n: f"{n / 1024:g}K")
    for K, colour in ((15, "a"), (22, "b")):
        for what, dashed in (("λ 0.0001", False), ("λ 0.01", True)):
            points = [(row["tokens"], mean_kl(row)) for row in rows if (row["about"], row["K"], row["what"]) == ("tokens", K, what)]
            panel.line(points, colour, f"K {K}, λ 1e-{2 if dashed else 4}", dashed, -12 if dashed else 0)
    return panel


def layers_panel(rows):
    chosen = [row for row in rows if row["about"] in ("K", "start")]
    ticks = sorted({row["K"] for row in chosen})
    panel = Panel(WIDTH + GAP, "KL, nats per token", "K: layers that prompts run, of 30", ticks, float, str)
    for what, colour, shift in (("as they are", "c", 8), ("γ folded", "b", -6), ("calibrated", "a", 0)):
        panel.line([(row["K"], mean_kl(row)) for row in chosen if row["what"] == what], colour, what, shift=shift)
    return panel


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    width = 2 * WIDTH + GAP
    parts = [part for panel in (tokens_panel(rows), layers_panel(rows)) for part in panel.parts]
    label = "KL of calibrated students of SmolLM2-135M, by tokens of calibration and by K"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{label}">'
    target.write_text(f"{head}<style>{STYLE}</style>{''.join(parts)}</svg>\n")


if __name__ == "__main__":
    main()

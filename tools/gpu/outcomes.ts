// What test/kernels/native.ts prints, line by line: "ok rmsnorm 12 ms", "FAILED …" with lines of problems below, and
// "- name: adapter lacks subgroups".
import type { Line } from "./results.ts";

type Outcome = Omit<Extract<Line, { type: "kernel" }>, "type" | "problems"> & { problems: string[] };

const OUTCOMES: Readonly<Record<string, Outcome["outcome"]>> = { ok: "ok", FAILED: "failed", "-": "lacking" };

export class KernelOutcomes {
  readonly found: Outcome[] = [];

  read(line: string): void {
    const [, word = "", name] = /^(ok|FAILED|-) (.*?)(?:: adapter| \d+ ms)/.exec(line) ?? [];
    if (name !== undefined) this.found.push({ name, outcome: OUTCOMES[word]!, problems: [] });
    else if (line.startsWith("  ")) this.found.at(-1)?.problems.push(line.trim());
  }
}

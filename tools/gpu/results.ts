// Results as they come, a line of JSON each, and the report made of them.
import type { AdapterPeaks, EngineStats } from "../../src/index.ts";
import type { BenchResult } from "../../demo/bench/measure.ts";

export interface Machine {
  adapter: string;
  vendor: string;
  architecture: string;
  /** An adapter that runs shaders on the CPU: its figures are no speed. */
  software: boolean;
  features: readonly string[];
  limits: Readonly<Record<string, number>>;
  subgroups: readonly [least: number, most: number];
}

export interface Speed {
  tokens: number;
  /** Tokens a second, the best of the runs. */
  prefill: number;
  decode: number;
  /** Milliseconds to the first token of each run. */
  prefillMs: readonly number[];
  kvBytesPerToken: number;
}

interface Of {
  shape: string;
  recipe: string;
}

export type Line =
  | ({ type: "machine"; date: string; engine: string } & Machine)
  | ({ type: "peaks" } & AdapterPeaks)
  | { type: "golden"; kv: string; name: string; tokens: number; equal: number; ok: boolean; margin: number | null }
  | { type: "kernel"; name: string; outcome: "ok" | "failed" | "lacking"; problems: readonly string[] }
  | ({ type: "loaded" } & Of & Pick<EngineStats, "loadMs" | "weightBytes" | "scratchBytes" | "variants">)
  | ({ type: "speed" } & Of & Speed)
  | ({ type: "times" } & Of & BenchResult["kernels"][number])
  | { type: "skipped"; name: string; why: string };

type Named<T extends Line["type"]> = Omit<Extract<Line, { type: T }>, "type">;

/** A speed with its share of the peaks that were measured before. */
interface Row extends Speed {
  /** Bytes that a token reads: weights, and keys and values of all before it. Of the copy bandwidth in percent. */
  percentOfCopy: number | null;
}

export interface Report {
  format: 1;
  kind: "gpu";
  commit: string | null;
  machine: Named<"machine"> | null;
  peaks: Named<"peaks"> | null;
  golden: readonly Named<"golden">[];
  kernels: { passed: number; failed: readonly Named<"kernel">[]; lacking: readonly string[] };
  models: readonly (Named<"loaded"> & { rows: readonly Row[]; kernels: readonly Omit<Named<"times">, keyof Of>[] })[];
  skipped: readonly Named<"skipped">[];
}

const without = <T extends object, K extends keyof T & string>(from: T, ...names: K[]): Omit<T, K> =>
  Object.fromEntries(Object.entries(from).filter(([name]) => !(names as string[]).includes(name))) as Omit<T, K>;

export function reportOf(lines: readonly Line[], commit: string | null): Report {
  const all = <T extends Line["type"]>(type: T) =>
    lines
      .filter((line): line is Extract<Line, { type: T }> => line.type === type)
      .map((line) => without(line, "type")) as Named<T>[];
  const [peaks = null] = all("peaks");
  const kernels = all("kernel");
  const times = all("times");
  const speeds = all("speed");
  const models = new Map(all("loaded").map((loaded) => [`${loaded.shape} ${loaded.recipe}`, loaded]));
  return {
    format: 1,
    kind: "gpu",
    commit,
    machine: all("machine")[0] ?? null,
    peaks,
    golden: all("golden"),
    kernels: {
      passed: kernels.filter(({ outcome }) => outcome === "ok").length,
      failed: kernels.filter(({ outcome }) => outcome === "failed"),
      lacking: kernels.filter(({ outcome }) => outcome === "lacking").map(({ name }) => name),
    },
    models: [...models.values()].map((loaded) => {
      const own = <T extends Of>(each: T) => each.shape === loaded.shape && each.recipe === loaded.recipe;
      const rows = speeds.filter(own).map((row) => withShare(without(row, "shape", "recipe"), loaded, peaks));
      return { ...loaded, rows, kernels: times.filter(own).map((each) => without(each, "shape", "recipe")) };
    }),
    skipped: all("skipped"),
  };
}

function withShare(row: Speed, { weightBytes }: Named<"loaded">, peaks: Named<"peaks"> | null): Row {
  const gbs = (row.decode * (weightBytes + row.kvBytesPerToken * row.tokens)) / 1e9;
  return { ...row, percentOfCopy: peaks && (100 * gbs) / peaks.copyGBs };
}

/** The name of a report's file. */
export const fileNameOf = ({ machine }: Report): string =>
  `${(machine?.adapter ?? "unknown")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "")}.json`;

/** What a person reads at the end. */
export function summaryOf({ machine, peaks, golden, kernels, models, skipped }: Report): string {
  const figure = (value: number) => value.toFixed(value >= 100 ? 0 : 1);
  return [
    machine ? `${machine.adapter}${machine.software ? " (software: these figures are no speed)" : ""}` : "no adapter",
    ...(peaks ? [`copy ${figure(peaks.copyGBs)} GB/s, multiply-adds ${figure(peaks.fmaGflops)} GFLOP/s`] : []),
    `golden: ${golden.filter(({ ok }) => ok).length} of ${golden.length} right`,
    `kernels: ${kernels.passed} right, ${kernels.failed.length} wrong, ${kernels.lacking.length} not offered here`,
    ...kernels.failed.map(({ name, problems }) => `  ${name}: ${problems[0] ?? ""}`),
    ...models.flatMap(({ shape, recipe, rows }) => [
      `${shape} ${recipe}`,
      ...rows.map(
        ({ tokens, prefill, decode, percentOfCopy }) =>
          `  ${tokens}: reads ${figure(prefill)}, writes ${figure(decode)} tokens/s${percentOfCopy === null ? "" : ` (${figure(percentOfCopy)} % of copy)`}`,
      ),
    ]),
    ...skipped.map(({ name, why }) => `left out: ${name}; ${why}`),
  ].join("\n");
}

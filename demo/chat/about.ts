// The facts about the loaded model, at the end of the settings.

import type { Engine, SwiftKv } from "../../src/index.ts";
import { find, make } from "../shared/dom.ts";
import { bytes, count, seconds } from "../shared/numbers.ts";

/** Fills #about. */
export function about(engine: Engine, name: string): void {
  const { model } = engine;
  const stats = engine.stats();
  const facts: readonly (readonly [string, string])[] = [
    ["Architecture", `${model.architecture.replace("ForCausalLM", "")}, ${count(model.layers)} layers`],
    [
      "Parameters",
      model.parameters >= 1e9
        ? `${(model.parameters / 1e9).toFixed(2)} billion`
        : `${(model.parameters / 1e6).toFixed(1)} million`,
    ],
    ["Context", `${count(model.context)} of ${count(model.trainedContext)} tokens`],
    ...(model.swiftkv ? [["SwiftKV", swiftkvLine(model.swiftkv, model.layers)] as const] : []),
    ["Weights", bytes(stats.weightBytes)],
    ["Keys and values", `${model.kv}, ${bytes(stats.kvBytes)}, ${bytes(stats.kvBytesPerToken)} a token`],
    ...model.kvWarnings.map((warning) => ["Note", warning] as const),
    ["Working memory", bytes(stats.scratchBytes)],
    ["Runs on", stats.adapter.name],
    ["Loaded in", seconds(stats.loadMs)],
  ];
  const rows = facts.flatMap(([term, value]) => [
    make("dt", { textContent: term }),
    make("dd", { textContent: value }),
  ]);
  find("about", HTMLElement).replaceChildren(make("h3", { textContent: name }), make("dl", {}, ...rows));
}

const swiftkvLine = ({ layers: own, group }: SwiftKv, layers: number): string =>
  `${count(own)} of ${count(layers)} layers read${group > 1 ? `, ${count(group)} share a cache` : ""}`;

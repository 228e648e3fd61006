// The weights of cache systems that come with the page: files of a few megabytes, each of one system for one model.

import { FABLE, SMOLLM2_135M_Q4 } from "./students.ts";

export interface ShippedWeights {
  system: string;
  /** The hash of the model that it goes with, as `engine.model.hash` has it. */
  base: string;
  /** How the model is called, as `engine.model.name` has it. */
  model: string;
  /** Below models/trained/ */
  file: string;
}

const both = (system: string): ShippedWeights[] => [
  { system, base: FABLE, model: "fable", file: `${system}-fable.safetensors` },
  {
    system,
    base: SMOLLM2_135M_Q4,
    model: "SmolLM2-135M-Instruct.Q4_1",
    file: `${system}-smollm2-135m-instruct.safetensors`,
  },
];

/** Systems that do nothing without weights of their own. */
export const TRAINED_SYSTEMS: readonly string[] = ["less", "locret"];

export const shippedWeights: readonly ShippedWeights[] = TRAINED_SYSTEMS.flatMap(both);

const systemsOf = (recipe: string): string[] => recipe.split("+").map((term) => term.split(":")[0]!.trim());

/** The system of a recipe that needs weights which there are none of for this model; null if it needs none, or all are there. */
export const untrainedFor = (recipe: string, { hash }: { hash: string }): string | null =>
  systemsOf(recipe).find(
    (name) =>
      TRAINED_SYSTEMS.includes(name) && !shippedWeights.some((each) => each.system === name && each.base === hash),
  ) ?? null;

/** Addresses of the files that a recipe needs for a model: by its hash, or before it is loaded by its name. `root`: from the page to the site's. */
export function trainedFor(recipe: string, model: { hash: string } | { name: string }, root = "."): string[] {
  const systems = systemsOf(recipe);
  const isIts = ({ base, model: name }: ShippedWeights) =>
    "hash" in model ? base === model.hash : name === model.name;
  return shippedWeights
    .filter((each) => systems.includes(each.system) && isIts(each))
    .map(({ file }) => new URL(`${root}/models/trained/${file}`, document.baseURI).href);
}

/** What a model will be called that lies at this address. */
export const nameAt = (source: string): string =>
  decodeURIComponent(source.split(/[?#]/)[0]!.replace(/\/+$/, "").split("/").at(-1)!).replace(/\.gguf$/i, "");

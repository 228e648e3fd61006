// Names under which checkpoints of one model file its tensors: with and without the name of a wrapper.

import type { StoredTensor } from "./tensor.ts";

/** Before `model.`: models that a larger one holds, and what training tools leave. */
const WRAPPERS = ["language_model.", "text_model.", "base_model.model.", "module.", "_orig_mod."];
/** In place of `model.`. */
const INNER = ["model.language_model.", "model.text_model.", "transformer."];

const LAYER = "layers.0.";

/** The rule that gives the names their usual form, by where the first layer is found; null: they have it. */
function ruleFor(names: readonly string[]): ((name: string) => string) | null {
  const has = (prefix: string): boolean => names.some((name) => name.startsWith(prefix));
  if (has(`model.${LAYER}`)) return null;
  if (has(LAYER)) return (name) => (name.startsWith("lm_head.") ? name : `model.${name}`);
  const wrapper = WRAPPERS.find((prefix) => has(`${prefix}model.${LAYER}`));
  if (wrapper !== undefined) return (name) => (name.startsWith(wrapper) ? name.slice(wrapper.length) : name);
  const inner = INNER.find((prefix) => has(`${prefix}${LAYER}`));
  return inner === undefined ? null : (name) => (name.startsWith(inner) ? `model.${name.slice(inner.length)}` : name);
}

/** The tensors under the names of a plain causal model. */
export function withUsualNames(tensors: readonly StoredTensor[]): StoredTensor[] {
  const rename = ruleFor(tensors.map(({ name }) => name));
  return tensors.map((tensor) => (rename ? { ...tensor, name: rename(tensor.name) } : tensor));
}

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
  const usual = tensors.map((tensor) => (rename ? { ...tensor, name: rename(tensor.name) } : tensor));
  return unfused(usual);
}

/** Matrices that are one in some families, as the tensors of their parts: their rows lie one after another. */
export function unfused(tensors: readonly StoredTensor[]): StoredTensor[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return tensors.flatMap((tensor) => partsOf(tensor, byName) ?? [tensor]);
}

function partsOf(tensor: StoredTensor, byName: ReadonlyMap<string, StoredTensor>): StoredTensor[] | null {
  const [, prefix, fused, kind] = /^(.*\.)(qkv_proj|gate_up_proj)\.(weight|bias)$/.exec(tensor.name) ?? [];
  if (!fused) return null;
  const rows = tensor.shape[0]!;
  if (fused === "gate_up_proj") return rowsOf(tensor, [[`${prefix}gate_proj.${kind}`, rows / 2], [`${prefix}up_proj.${kind}`, rows / 2]]); // prettier-ignore
  const queries = byName.get(`${prefix}o_proj.weight`)?.shape[1];
  if (queries === undefined) return null;
  const keys = (rows - queries) / 2;
  return rowsOf(tensor, [
    [`${prefix}q_proj.${kind}`, queries],
    [`${prefix}k_proj.${kind}`, keys],
    [`${prefix}v_proj.${kind}`, keys],
  ]);
}

function rowsOf(tensor: StoredTensor, parts: readonly [name: string, rows: number][]): StoredTensor[] | null {
  if (parts.some(([, rows]) => !Number.isInteger(rows) || rows <= 0)) return null; // the loader names the shape it wants
  const rowBytes = tensor.byteLength / tensor.shape[0]!;
  let { offset } = tensor;
  return parts.map(([name, rows]) => {
    const part = { ...tensor, name, shape: [rows, ...tensor.shape.slice(1)], byteLength: rows * rowBytes, offset };
    offset += part.byteLength;
    return part;
  });
}

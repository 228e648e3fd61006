// A student as a file: the projections of keys and values of its owners and, where they were trained, of every later
// layer's queries, under their public names, and how they were made. Whatever else it runs on is the base model, which it
// names by hash.
import type { CalibrationInfo, DistillationInfo, LoadOptions, SwiftKv } from "../api.ts";
import { InputError, isObject, ModelError } from "../errors.ts";
import { parseObject, quote } from "../io/files/bytes.ts";
import type { OpenOptions } from "../io/checkpoint.ts";
import { joined, openStudent, type StudentFile } from "../io/student.ts";
import { type NewTensor, writeSafetensors } from "../io/formats/written.ts";
import { layoutOf, sameShape, shapeProblem } from "../kv/systems/swiftkv/layout.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Fit, FittedQueries, FittedStore } from "../model/context.ts";

/** The key of the file's metadata, and what is below it as JSON. */
const KEY = "longprompt";

interface Card {
  version: 1;
  /** Name and hash of the model that it goes with. */
  name: string;
  base: string;
  /** K and G */
  swiftkv: SwiftKv;
  made: CalibrationInfo | null;
  /** Absent in files from before there was training. */
  distilled?: DistillationInfo | null;
}

/** How its file is fetched, as a model's are. */
type FetchOptions = Pick<OpenOptions, "signal" | "keep" | "token" | "sha256">;

/** A student read from a file, not yet on its base. */
export interface StoredStudent {
  /** For messages. */
  file: string;
  card: Card;
  fit: Fit;
}

// ---- out ----

/** The file of a student. */
export function studentBytes(
  fit: Fit,
  { config, name, hash }: { config: ModelConfig; name: string; hash: string },
): Uint8Array<ArrayBuffer> {
  const { made, distilled } = fit;
  const card: Card = { version: 1, name, base: hash, swiftkv: config.swiftkv!, made, distilled };
  return writeSafetensors(newTensors(fit, config), { format: "pt", [KEY]: JSON.stringify(card) });
}

/** What a student has that its base has not: keys and values of owners, then queries where it has its own. */
export function newTensors({ stores, queries }: Fit, config: ModelConfig): NewTensor[] {
  const swiftkv = config.swiftkv!;
  const owners = ownersOf(config, swiftkv);
  return [
    ...stores.flatMap((store, i) => tensorsOf(store, owners[i]!, config)),
    ...(queries ?? []).flatMap((each, i) => queryTensorsOf(each, swiftkv.layers + i, config)),
  ];
}

/** Layers whose keys and values the student makes anew. */
const ownersOf = ({ layers }: ModelConfig, swiftkv: SwiftKv): number[] =>
  layoutOf(layers, swiftkv).owners.slice(swiftkv.layers);

/** The tensors of an owner, as a store has them one after another: keys, then values. */
function slotsOf(owner: number, { hiddenSize: D, kvHeads, headWidth }: ModelConfig): Omit<NewTensor, "bytes">[] {
  const width = kvHeads * headWidth;
  const names = ["k", "v"].map((kind) => `model.layers.${owner}.self_attn.${kind}_proj_swiftkv`);
  return [
    ...names.map((name) => ({ name: `${name}.weight`, shape: [width, D], type: "F16" as const })),
    ...names.map((name) => ({ name: `${name}.bias`, shape: [width], type: "F32" as const })),
  ];
}

function tensorsOf({ weights, bias }: FittedStore, owner: number, config: ModelConfig): NewTensor[] {
  const half = (values: Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>, i: number) =>
    new Uint8Array(values.buffer, values.byteOffset + (i * values.byteLength) / 2, values.byteLength / 2);
  const parts = [half(weights, 0), half(weights, 1), half(bias, 0), half(bias, 1)];
  return slotsOf(owner, config).map((slot, i) => ({ ...slot, bytes: parts[i]! }));
}

/** The tensors of a layer's own queries. */
function querySlots(
  layer: number,
  { hiddenSize: D, heads, headWidth, qkvBias }: ModelConfig,
): Omit<NewTensor, "bytes">[] {
  const name = `model.layers.${layer}.self_attn.q_proj_swiftkv`;
  const weight = { name: `${name}.weight`, shape: [heads * headWidth, D], type: "F16" as const };
  return qkvBias ? [weight, { name: `${name}.bias`, shape: [heads * headWidth], type: "F32" as const }] : [weight];
}

function queryTensorsOf({ weights, bias }: FittedQueries, layer: number, config: ModelConfig): NewTensor[] {
  const parts = [weights, bias].flatMap((each) => (each ? [new Uint8Array(each.buffer)] : []));
  return querySlots(layer, config).map((slot, i) => ({ ...slot, bytes: parts[i]! }));
}

// ---- in ----

/**
 * Reads and checks a student for a model of this configuration. Throws ModelError for a file that is no student or
 * damaged, InputError for one of another shape than `asked` for, or that this model cannot have.
 */
export async function readStudent(
  source: NonNullable<LoadOptions["student"]>,
  config: ModelConfig,
  asked: LoadOptions["swiftkv"],
  options: FetchOptions = {},
): Promise<StoredStudent> {
  const file = await openStudent(source, options);
  try {
    const card = cardOf(file);
    checkShape(file.name, card.swiftkv, config, asked);
    const parts = await readParts(file, card, config, options.signal);
    await file.settle();
    return { file: file.name, card, fit: { ...parts, made: card.made, distilled: card.distilled ?? null } };
  } finally {
    file.close();
  }
}

function cardOf({ name, metadata }: StudentFile): Card {
  const text: unknown = (metadata as Record<string, unknown> | undefined)?.[KEY];
  if (typeof text !== "string")
    throw new ModelError(
      `${name}: no student; got a file without the entry "${KEY}", want one that \`npm run convert\` wrote. Take that.`,
    );
  const card = parseObject(text, `${name} metadata`);
  if (card["version"] !== 1)
    throw new ModelError(
      `${name}: student of another version; got ${quote(card["version"])}, want 1. Make it again, or update longprompt.`,
    );
  if (isCard(card)) return card;
  throw new ModelError(
    `${name}: damaged card; got ${quote(card)}, want name, base, swiftkv and made. Make the student again.`,
  );
}

const isCard = (card: Record<string, unknown>): card is Record<string, unknown> & Card =>
  typeof card["name"] === "string" &&
  typeof card["base"] === "string" &&
  isObject(card["swiftkv"]) &&
  ["layers", "group"].every((field) => typeof (card["swiftkv"] as Record<string, unknown>)[field] === "number") &&
  (card["made"] === null || (isObject(card["made"]) && Array.isArray(card["made"]["r2"])));

function checkShape(file: string, own: SwiftKv, config: ModelConfig, asked: LoadOptions["swiftkv"]): void {
  const text = ({ layers, group }: SwiftKv) => `K ${layers}, G ${group}`;
  const problem = shapeProblem(own, config.layers);
  if (problem || own.layers === config.layers)
    throw new ModelError(
      `${file}: student of another model; got ${text(own)}, want a shape for ${config.layers} layers. Load the model it was made from.`,
    );
  if (asked === undefined || asked === true || (asked !== false && sameShape(own, asked))) return;
  throw new InputError(
    `student: ${file} has another shape; got swiftkv ${asked === false ? "off" : text(asked)}, want ${text(own)}. Leave swiftkv out.`,
  );
}

/** Every tensor that the shape asks for, and no other; queries of all later layers or of none. */
async function readParts(
  file: StudentFile,
  { swiftkv }: Card,
  config: ModelConfig,
  signal?: AbortSignal,
): Promise<Pick<Fit, "stores" | "queries">> {
  const owners = ownersOf(config, swiftkv);
  const slots = owners.map((owner) => slotsOf(owner, config));
  const later = Array.from({ length: config.layers - swiftkv.layers }, (_, i) => swiftkv.layers + i);
  const hasQueries = file.tensors.some(({ name }) => name.includes(".q_proj_swiftkv."));
  const queries = hasQueries ? later.map((layer) => querySlots(layer, config)) : null;
  const known = new Set([...slots, ...(queries ?? [])].flat().map(({ name }) => name));
  const stray = file.tensors.find(({ name }) => !known.has(name));
  if (stray)
    throw new ModelError(
      `${file.name}: unknown tensor; got ${stray.name}, want those of layers ${owners.join(", ")} only. Make the student again.`,
    );
  const stores = await inTurn(slots, async (store): Promise<FittedStore> => {
    const parts = await readSlots(file, store, signal);
    return {
      weights: new Uint16Array(joined(parts.slice(0, 2))),
      bias: new Float32Array(joined(parts.slice(2))),
    };
  });
  const own =
    queries &&
    (await inTurn(queries, async (slots): Promise<FittedQueries> => {
      const [weights, bias] = await readSlots(file, slots, signal);
      return { weights: new Uint16Array(joined([weights!])), bias: bias ? new Float32Array(joined([bias])) : null };
    }));
  return { stores, queries: own };
}

/** One after another: in parallel they would all be in memory twice. */
async function inTurn<A, B>(items: readonly A[], work: (item: A) => Promise<B>): Promise<B[]> {
  const done: B[] = [];
  for (const item of items) done.push(await work(item));
  return done;
}

/** The bytes of some tensors. */
function readSlots(
  { name: file, tensors }: StudentFile,
  slots: readonly Omit<NewTensor, "bytes">[],
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>[]> {
  return inTurn(slots, async ({ name, shape, type }) => {
    const tensor = tensors.find((each) => each.name === name);
    if (!tensor) throw new ModelError(`${file}: tensor missing; got no ${name}, want one. Make the student again.`);
    if (String(tensor.shape) !== String(shape) || tensor.type !== type)
      throw new ModelError(
        `${file}: ${name}; got ${tensor.type} [${tensor.shape}], want ${type} [${shape}]. Load the model it was made from.`,
      );
    return tensor.file.read(tensor.offset, tensor.byteLength, { signal });
  });
}

/** Throws ModelError where the student was made from other weights. */
export function checkBase({ file, card }: StoredStudent, name: string, hash: string): void {
  if (card.base === hash) return;
  const short = (text: string) => text.slice(0, 12);
  throw new ModelError(
    `${file}: student of another model; got ${name} with weights ${short(hash)}, want ${card.name} with weights ${short(card.base)}. Load that, or calibrate this one.`,
  );
}

// Weights that a cache system was trained to have on one model: files beside the checkpoint. docs/kv.md, "Trained files".
import type { LoadOptions } from "../api.ts";
import { InputError, ModelError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { OpenOptions } from "../io/checkpoint.ts";
import { quote } from "../io/files/bytes.ts";
import { digestOf } from "../io/files/pieces.ts";
import { joined, openStudent, type StudentFile } from "../io/student.ts";
import type { KvSystem, SystemTensors } from "../kv/system.ts";
import { isFloat } from "../model/weights/matrix.ts";
import { toFloats } from "../model/weights/loader.ts";

/** A file that has been read. */
export interface TrainedFile {
  /** For messages. */
  name: string;
  /** The system that it is for. */
  system: string;
  /** The hash of the model that it goes with, as `engine.model.hash` has it. */
  base: string;
  tensors: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
  /** Of its tensors. */
  digest: string;
}

type Source = NonNullable<LoadOptions["trained"]> | readonly TrainedFile[];
type FetchOptions = Pick<OpenOptions, "signal" | "keep" | "token" | "sha256">;

/** Reads what is not read yet. Throws ModelError for what is no such file or is damaged; InputError for two of one system. */
export async function readTrained(
  given: Source,
  { signal, keep, token, sha256 }: FetchOptions,
): Promise<readonly TrainedFile[]> {
  const files: TrainedFile[] = [];
  for (const each of [given].flat() as (string | File | TrainedFile)[]) {
    const read = typeof each === "string" || each instanceof File;
    files.push(read ? await readOne(each, { signal, keep, token, sha256 }) : each);
  }
  const twice = files.find(({ system }, i) => files.findIndex((other) => other.system === system) < i);
  if (!twice) return files;
  throw new InputError(`trained: ${twice.system}; got two files of it, want one. Leave ${twice.name} out.`);
}

async function readOne(source: string | File, options: FetchOptions): Promise<TrainedFile> {
  if (typeof source === "string" && !/\.safetensors$/i.test(source))
    throw new InputError(
      `trained: no such file; got ${quote(source)}, want the address of a .safetensors file. Name that.`,
    );
  const file = await openStudent(source, options, {
    who: "trained",
    want: "a .safetensors file with the weights of a cache system",
  });
  try {
    const { system, base } = cardOf(file);
    const tensors = await readAll(file, options.signal);
    await file.settle();
    const bytes = joined([...tensors.values()].map(({ buffer }) => new Uint8Array(buffer)));
    return { name: file.name, system, base, tensors, digest: await digestOf(new Uint8Array(bytes)) };
  } finally {
    file.close();
  }
}

function cardOf({ name, metadata }: StudentFile): Pick<TrainedFile, "system" | "base"> {
  const { system, base } = (metadata ?? {}) as Record<string, unknown>;
  if (typeof system === "string" && typeof base === "string") return { system, base };
  throw new ModelError(
    `${name}: weights of no cache system; got metadata ${quote(metadata ?? null)}, want "system" and "base" there. Take a file made by tools/trained.`,
  );
}

async function readAll({ name, tensors }: StudentFile, signal?: AbortSignal): Promise<TrainedFile["tensors"]> {
  const all = new Map<string, Float32Array<ArrayBuffer>>();
  for (const { name: tensor, type, file, offset, byteLength } of tensors) {
    if (!isFloat(type))
      throw new ModelError(`${name}: ${tensor}; got type ${type}, want F32, F16 or BF16. Take another.`);
    all.set(tensor, toFloats(type, await file.read(offset, byteLength, { signal })));
  }
  return all;
}

/** Throws ModelError where one of them was trained on other weights. */
export function checkTrained(files: readonly TrainedFile[], name: string, hash: string): void {
  const other = files.find(({ base }) => base !== hash);
  if (!other) return;
  const short = (text: string) => text.slice(0, 12);
  throw new ModelError(
    `${other.name}: ${other.system} of another model; got ${name} with weights ${short(hash)}, want weights ${short(other.base)}. Load that, or train ${other.system} on this one.`,
  );
}

/** Lets systems name their weights: of a file, or else of the checkpoint where that is still to be loaded. */
export function nameTrained(
  gpu: Gpu,
  systems: readonly KvSystem[],
  files: readonly TrainedFile[],
  checkpoint: SystemTensors | null,
): void {
  for (const { name, weights } of systems) {
    const file = files.find(({ system }) => system === name);
    weights?.(file ? ofFile(gpu, file) : ofCheckpoint(name, checkpoint));
  }
}

function ofFile(gpu: Gpu, { name: file, system, tensors }: TrainedFile): SystemTensors {
  return {
    has: (name) => tensors.has(name),
    vector(names, lengths) {
      const parts = names.map((name, i) => {
        const values = tensors.get(name);
        if (values?.length === lengths[i]) return values;
        const got = values ? `${values.length} numbers` : "none";
        throw new ModelError(
          `${file}: ${name} of ${system}; got ${got}, want ${lengths[i]} numbers. Was it trained for this model and these options?`,
        );
      });
      const buffer = gpu.buffer(names[0]!, 4 * lengths.reduce((sum, length) => sum + length, 0), "weights");
      let at = 0;
      for (const values of parts) {
        gpu.write(buffer, at, values);
        at += values.byteLength;
      }
      return buffer;
    },
  };
}

function ofCheckpoint(system: string, checkpoint: SystemTensors | null): SystemTensors {
  return {
    has: (name) => checkpoint?.has(name) ?? false,
    vector(names, lengths) {
      if (checkpoint?.has(names[0]!)) return checkpoint.vector(names, lengths);
      throw new InputError(
        `kv: ${system}; got no weights of ${system} for this model, want those that it was trained to have. Give their file as trained; docs/kv.md says for which models there is one.`,
      );
    },
  };
}

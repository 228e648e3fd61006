// The file of a student: what is added to a model, wherever it lies.
import { InputError, ModelError } from "../errors.ts";
import type { ModelSource } from "../api.ts";
import { type Checkpoint, type OpenOptions, openContext } from "./checkpoint.ts";
import type { ByteFile, Folder } from "./files/bytes.ts";
import { BlobFile } from "./files/blob.ts";
import type { SourceContext } from "./files/context.ts";
import { openSource } from "./files/source.ts";
import { readSafetensors } from "./formats/safetensors.ts";
import type { StoredTensor } from "./formats/tensor.ts";

export const STUDENT_FILE = "student.safetensors";

export interface StudentFile extends Pick<Checkpoint, "name"> {
  tensors: readonly StoredTensor[];
  metadata: unknown;
  /** As of a checkpoint: once the tensors have been read. */
  settle(): Promise<void>;
  close(): void;
}

/** What is looked for, for errors. */
const STUDENT = { who: "student", want: "the file or folder that `npm run convert` wrote" };

/** Opens student.safetensors in a folder, or the file itself. Throws as `openCheckpoint` does. */
export async function openStudent(
  source: ModelSource | File,
  options: OpenOptions = {},
  sought: typeof STUDENT = STUDENT,
): Promise<StudentFile> {
  const { signal } = options;
  const context = openContext(options);
  try {
    const { file, settled } = await openFile(source, context, sought, signal);
    await context.shelf?.ask(file.missingBytes ?? 0);
    const { tensors, metadata } = await readSafetensors(file, signal);
    return {
      name: file.name,
      tensors,
      metadata,
      async settle() {
        await file.settle?.({ signal });
        await settled?.();
      },
      close() {
        file.close();
        context.shelf?.close();
      },
    };
  } catch (error) {
    context.shelf?.close();
    throw error;
  }
}

interface Opened {
  file: ByteFile;
  /** What is to be done once it has been read. */
  settled?: Folder["settle"];
}

async function openFile(
  source: ModelSource | File,
  context: SourceContext,
  sought: typeof STUDENT,
  signal?: AbortSignal,
): Promise<Opened> {
  if (source instanceof File) return { file: new BlobFile(source, source.name) };
  if (typeof source === "string") return openNamed(source, context, sought, signal);
  if ("getFileHandle" in source) return picked([await (await source.getFileHandle(STUDENT_FILE)).getFile()]);
  return picked(Array.from(source));
}

/** A URL may name the file, or the folder that has it. */
async function openNamed(
  source: string,
  context: SourceContext,
  { who, want }: typeof STUDENT,
  signal?: AbortSignal,
): Promise<Opened> {
  const [, folder, name] = /^(.*\/)([^/]+\.safetensors)$/i.exec(source) ?? [null, source, STUDENT_FILE];
  const opened = await openSource(folder!, context);
  if (!("open" in opened)) return { file: opened };
  const file = await opened.open(name!, signal);
  if (file) return { file, settled: opened.settle };
  throw new ModelError(`${who}: not found; got no ${name} in ${source}, want ${want}. Is the address right?`, {
    code: "not-found",
  });
}

function picked(files: readonly File[]): Opened {
  const found = files.filter(({ name }) => name.endsWith(".safetensors"));
  if (found.length === 1) return { file: new BlobFile(found[0]!, found[0]!.name) };
  throw new InputError(`student: not one file; got ${found.length} of .safetensors, want ${STUDENT_FILE}. Pick that.`, {
    code: "bad-source",
  });
}

/** Parts one after another. */
export function joined(parts: readonly Uint8Array[]): ArrayBuffer {
  const whole = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole.buffer;
}

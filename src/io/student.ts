// The file of a student: what is added to a model, wherever it lies.
import { InputError, ModelError } from "../errors.ts";
import type { ModelSource } from "../api.ts";
import { type Checkpoint, type OpenOptions, openContext } from "./checkpoint.ts";
import type { ByteFile } from "./files/bytes.ts";
import { BlobFile } from "./files/blob.ts";
import { openSource } from "./files/source.ts";
import { readSafetensors } from "./formats/safetensors.ts";
import type { StoredTensor } from "./formats/tensor.ts";

export const STUDENT_FILE = "student.safetensors";

export interface StudentFile extends Pick<Checkpoint, "name"> {
  tensors: readonly StoredTensor[];
  metadata: unknown;
  close(): void;
}

/** Opens student.safetensors in a folder, or the file itself. Throws as `openCheckpoint` does. */
export async function openStudent(source: ModelSource | File, options: OpenOptions = {}): Promise<StudentFile> {
  const file = await openFile(source, options);
  try {
    const { tensors, metadata } = await readSafetensors(file, options.signal);
    return { name: file.name, tensors, metadata, close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

async function openFile(source: ModelSource | File, options: OpenOptions): Promise<ByteFile> {
  if (source instanceof File) return new BlobFile(source, source.name);
  if (typeof source === "string") return openNamed(source, options);
  if ("getFileHandle" in source) return picked([await (await source.getFileHandle(STUDENT_FILE)).getFile()]);
  return picked(Array.from(source));
}

/** A URL may name the file, or the folder that has it. */
async function openNamed(source: string, options: OpenOptions): Promise<ByteFile> {
  const [, folder, name] = /^(.*\/)([^/]+\.safetensors)$/i.exec(source) ?? [null, source, STUDENT_FILE];
  const opened = await openSource(folder!, openContext(options));
  if (!("open" in opened)) return opened;
  const file = await opened.open(name!, options.signal);
  if (file) return file;
  throw new ModelError(
    `student: not found; got no ${name} in ${source}, want the file or folder that \`npm run convert\` wrote. Is the address right?`,
    { code: "not-found" },
  );
}

function picked(files: readonly File[]): ByteFile {
  const found = files.filter(({ name }) => name.endsWith(".safetensors"));
  if (found.length === 1) return new BlobFile(found[0]!, found[0]!.name);
  throw new InputError(`student: not one file; got ${found.length} of .safetensors, want ${STUDENT_FILE}. Pick that.`, {
    code: "bad-source",
  });
}

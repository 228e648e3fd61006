// A GGUF in parts, `NAME-00001-of-0000N.gguf`: the first holds the metadata, each its own tensors.

import { ModelError } from "../../errors.ts";
import type { ByteFile } from "../files/bytes.ts";
import { type Gguf, readGguf } from "./gguf.ts";

/** Most parts that are opened: each costs a request and a header. */
const MOST_PARTS = 512;

const countOf = ({ metadata }: Gguf): number => {
  const count = metadata.get("split.count");
  return typeof count === "number" && count > 1 ? count : 1;
};

/** The model of a file, together with the parts beside it if it is one of several. Throws as `readGguf`, and where one is missing. */
export async function readWholeGguf(file: ByteFile, signal?: AbortSignal): Promise<{ gguf: Gguf; file: ByteFile }> {
  const gguf = await readGguf(file, signal);
  const count = countOf(gguf);
  if (count === 1) return { gguf, file };
  const names = partNames(file.name, count);
  const own = names.findIndex((name) => file.name.split("?")[0]!.endsWith(name));
  const parts: { gguf: Gguf; file: ByteFile }[] = [];
  for (const [i, name] of names.entries())
    parts.push(i === own ? { gguf, file } : await openPart(file, name, count, signal));
  const [first] = parts;
  return {
    gguf: {
      metadata: first!.gguf.metadata,
      tensors: parts.flatMap((part) => part.gguf.tensors),
      others: new Map(parts.flatMap((part) => [...part.gguf.others])),
    },
    file: first!.file,
  };
}

/** The names of all parts, from that of one. */
function partNames(name: string, count: number): string[] {
  const [, stem, , total] = /([^/\\]*-)(\d{5})-of-(\d{5})\.gguf(?:\?.*)?$/i.exec(name) ?? [];
  if (stem === undefined || Number(total) !== count || count > MOST_PARTS)
    throw new ModelError(
      `${name}: one part of a split GGUF; got a name that does not say which of ${count}, want NAME-00001-of-${five(count)}.gguf. Give the parts their names back.`,
    );
  return Array.from({ length: count }, (_, i) => `${stem}${five(i + 1)}-of-${five(count)}.gguf`);
}

const five = (value: number): string => String(value).padStart(5, "0");

async function openPart(file: ByteFile, name: string, count: number, signal?: AbortSignal) {
  const part = await file.beside?.(name, signal);
  if (!part)
    throw new ModelError(
      `${file.name}: one part of a split GGUF; got no ${name} beside it, want all ${count} parts. Pick them all, or give the address of one where the others lie.`,
      { code: "not-found" },
    );
  const gguf = await readGguf(part, signal);
  if (countOf(gguf) === count) return { gguf, file: part };
  throw new ModelError(
    `${name}: part of another model; got ${countOf(gguf)} parts, want ${count}. Download them again.`,
  );
}

// The model that a command names: a published shape, or files on this machine.
import { openAsBlob, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { type Checkpoint, openCheckpoint } from "../../src/io/checkpoint.ts";
import { randomModel } from "../shapes/file.ts";
import { shapeNamed, SHAPES } from "../shapes/shapes.ts";

/** Throws where it is neither. */
export async function openNamed(name: string): Promise<Checkpoint> {
  const shape = shapeNamed(name);
  return openCheckpoint(shape ? [randomModel(shape)] : await filesAt(name));
}

async function filesAt(path: string): Promise<File[]> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) {
    const known = SHAPES.map((shape) => shape.name).join(", ");
    throw new Error(`model: got ${path}, want ${known}, a folder or a .gguf file. Check the path.`);
  }
  const paths = found.isDirectory() ? readdirSync(path).map((each) => join(path, each)) : [path];
  const files = paths.filter((each) => /\.(gguf|json|safetensors|jinja)$/.test(each));
  return Promise.all(files.map(async (each) => new File([await openAsBlob(each)], basename(each))));
}

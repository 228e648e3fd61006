// What load() returns beside the public interface: the functions that take an engine need it, wherever the engine runs.
import type {
  ConvertOptions,
  DistilOptions,
  Engine,
  FilePiece,
  LoadOptions,
  ModelSource,
  ShareOptions,
  Sharing,
  SwiftKv,
} from "../api.ts";
import type { TokenizerFiles } from "../text/tokenizer.ts";

/** An engine of this library. Each method is described at the function of its name in src/load.ts. */
export interface OwnEngine extends Engine {
  convert(swiftkv: SwiftKv | boolean, options: ConvertOptions): Promise<Engine>;
  distil(swiftkv: SwiftKv, options: DistilOptions): Promise<Engine>;
  shareLayers(options: ShareOptions): Promise<Sharing>;
  studentFile(): Promise<Uint8Array<ArrayBuffer>>;
  checkpointFiles(source: ModelSource, signal?: AbortSignal): AsyncGenerator<FilePiece>;
  exportStudent(checkpoint: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** Options of `load` with what it tells its own worker. */
export interface LoadHooks extends Omit<LoadOptions, "worker"> {
  onTokenizer?: (files: TokenizerFiles, template: string | null) => void;
}

// Functions of the public surface that few pages call: what they need is fetched when they are called.
import type { Engine, KeptModel, KeptStorage } from "./api.ts";
import type { SampleOptions } from "./chat/sample.ts";
import type { AdapterPeaks } from "./gpu/measure.ts";

/**
 * Chats as the model would have them, each the tokens of a whole conversation: what `convert` calibrates on or `distil`
 * trains on (as `windows`, or joined as `tokens`) where there is no text. Throws InputError for a model without chat
 * template, or for a count below 1.
 */
export async function* sampleChats(engine: Engine, options: SampleOptions): AsyncGenerator<number[]> {
  const chats = await import("./chat/sample.ts");
  yield* chats.sampleChats(engine, options);
}

/**
 * Copy bandwidth, multiply-add peak and dispatch cost of an adapter. Takes a second or two. `device`: default a new one. Throws
 * UnsupportedError where there is no WebGPU.
 */
export async function measureAdapter(device?: GPUDevice): Promise<AdapterPeaks> {
  const measure = await import("./gpu/measure.ts");
  return measure.measureAdapter(device);
}

const storage = async () => (await import("./io/kept.ts")).kept;

/** Models whose files are kept in this browser. */
export const kept = {
  /** The newest first. Empty where the browser keeps nothing. */
  list: async (): Promise<KeptModel[]> => (await storage()).list(),
  /** Deletes what is kept of a model, by its name in the list; without a name everything. Returns the bytes that were kept. */
  delete: async (name?: string): Promise<number> => (await storage()).delete(name),
  /** How much the browser lets this origin keep, and whether it may clear it by itself when the disk fills up. */
  space: async (): Promise<KeptStorage> => (await storage()).space(),
  /** Asks the browser to delete what is kept only where the user says so; some browsers ask the user. */
  persist: async (): Promise<boolean> => (await storage()).persist(),
};

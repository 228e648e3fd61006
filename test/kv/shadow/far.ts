// A prompt of tens of thousands of tokens on a toy model: read in chunks, told of, and stopped. Runs in a page.
import { load, type LoadOptions } from "../../../src/index.ts";

export interface Far {
  /** Prompt tokens done, each time that it was told; `stopped`: of a reply that was stopped at the third. */
  progress: number[];
  stopped: number[];
  finish: string;
  /** The same prompt twice. */
  replies: { tokens: number[]; logprobs: number[]; reusedTokens: number }[];
  arenas: number;
  kvBytes: { loaded: number; full: number; peak: number };
}

export async function far(
  { address, options, prompt, count }: { address: string; options: LoadOptions; prompt: number[]; count: number },
  say: (text: string) => void,
): Promise<Far> {
  const labels = new Set<string>();
  const adapter = await navigator.gpu.requestAdapter();
  // With the limits that all adapters have; without subgroups a CPU adapter would take hours.
  const device = await adapter!.requestDevice({ requiredFeatures: ["subgroups"] as never[] });
  const { createBuffer } = device;
  device.createBuffer = (descriptor) => {
    if (descriptor.label?.startsWith("kv f16 blocks")) labels.add(descriptor.label.split(",")[0]!);
    return createBuffer.call(device, descriptor);
  };
  const engine = await load(new URL(address, location.href).href, { tune: "off", ...options, device });
  const loaded = engine.stats().kvBytes;
  const ask = async (told: number[], stopAt = Infinity) => {
    const controller = new AbortController();
    const onPrefill = (done: number) => {
      say(`${done} tokens are read`);
      if (told.push(done) === stopAt) controller.abort();
    };
    const session = engine.session();
    const more = { maxTokens: count, ignoreEnd: true, signal: controller.signal, onPrefill };
    return session.generate({ tokens: prompt }, more).result.finally(() => session.dispose());
  };
  const [progress, stopped]: [number[], number[]] = [[], []];
  const { finish } = await ask(stopped, 3);
  const replies: Far["replies"] = [];
  for (const told of [progress, []]) {
    const { tokens, logprobs, stats } = await ask(told);
    replies.push({ tokens, logprobs, reusedTokens: stats.reusedTokens });
  }
  const { kvBytes: full, kvPeakBytes: peak } = engine.stats();
  engine.dispose();
  device.destroy();
  return { progress, stopped, finish, replies, arenas: labels.size, kvBytes: { loaded, full, peak } };
}

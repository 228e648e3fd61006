// What the tests of choosing call inside the page: an engine on a device that says it is a GPU, so that it takes a GPU's kernels.
import { convert, type Engine, type LoadOptions, load } from "../../src/index.ts";

interface Asked {
  /** Default: WebGPU's own limits. */
  level?: "compatibility";
  /** Kernel and constants of pipelines that the device refuses. */
  refused?: [kernel: string, constants: Record<string, number>][];
}

export interface Ran {
  limits: { threads: number; workgroupBytes: number; bindingBytes: number; buffers: number };
  /** Tokens of a reply, and of another one after measuring. */
  tokens: number[][];
  /** Choices known as the first reply ended, and once some were measured. */
  chosen: Record<string, string>[];
  /** Kernels that were compiled, attn_prefill_tile with its threads. */
  kernels: string[];
}

async function openGpu({ level, refused = [] }: Asked, kernels: Set<string>): Promise<GPUDevice> {
  const adapter = await navigator.gpu?.requestAdapter(level ? { featureLevel: level } : {});
  if (!adapter) throw new Error("no WebGPU adapter: GPU tests fail, they do not skip");
  const features = ["subgroups"] as const;
  const device = await adapter.requestDevice({
    requiredFeatures: features.filter((name) => adapter.features.has(name)),
  });
  const { subgroupMinSize, subgroupMaxSize } = device.adapterInfo;
  Object.defineProperty(device, "adapterInfo", { value: { vendor: "test", subgroupMinSize, subgroupMaxSize } });
  const { createComputePipelineAsync } = device;
  device.createComputePipelineAsync = async (descriptor) => {
    const { label = "", compute } = descriptor;
    const isRefused = refused.some(
      ([name, constants]) =>
        name === label && Object.entries(constants).every(([key, value]) => compute.constants?.[key] === value),
    );
    if (isRefused) throw new GPUPipelineError("the device was told to refuse", { reason: "validation" });
    kernels.add(label === "attn_prefill_tile" ? `${label} ${compute.constants?.WG}` : label);
    return createComputePipelineAsync.call(device, descriptor);
  };
  return device;
}

/** A reply on such a device; with `tune` also one after something has been measured. */
async function asGpu(source: string, prompt: number[], asked: Asked, options: LoadOptions): Promise<Ran> {
  const kernels = new Set<string>();
  const device = await openGpu(asked, kernels);
  const engine = await load(new URL(source, location.href).href, { ...options, device });
  const reply = async () =>
    (await engine.session().generate({ tokens: prompt }, { maxTokens: 8, ignoreEnd: true, reuse: false }).result)
      .tokens;
  const tokens = [await reply()];
  const chosen = [engine.stats().variants];
  const isMeasured = () => Object.keys(engine.stats().variants).length > Object.keys(chosen[0]!).length;
  if (options.tune !== "off") {
    while (!isMeasured()) await new Promise((resolve) => setTimeout(resolve, 20));
    chosen.push(engine.stats().variants);
    tokens.push(await reply());
  }
  engine.dispose();
  device.destroy();
  const { maxComputeInvocationsPerWorkgroup: threads, maxComputeWorkgroupStorageSize: workgroupBytes } = device.limits;
  const { maxStorageBufferBindingSize: bindingBytes, maxStorageBuffersPerShaderStage: buffers } = device.limits;
  return { limits: { threads, workgroupBytes, bindingBytes, buffers }, tokens, chosen, kernels: [...kernels].sort() };
}

/** Log-probabilities of the last of a text's tokens after the others were read as a prompt, and what was chosen. */
async function scored(engine: Engine, tokens: number[]) {
  const { logprobs } = await engine.evaluate(tokens.slice(0, -8), tokens.slice(-8));
  return { logprobs: [...logprobs], variants: engine.stats().variants };
}

/** The end of a text scored with products in f32, in int8, and in int8 where WGSL has no such products, on one such device. */
async function inInt8(source: string, tokens: number[], options: LoadOptions) {
  const kernels = new Set<string>();
  const device = await openGpu({}, kernels);
  const plain = await load(new URL(source, location.href).href, { ...options, tune: "off", device });
  const results = { f32: await scored(plain, tokens) };
  const before = [...kernels];
  const converted = async () => {
    const engine = await convert(plain, false, { int8Products: true });
    const result = await scored(engine, tokens);
    engine.dispose();
    return result;
  };
  const int8 = await converted();
  const after = [...kernels];
  Object.defineProperty(navigator.gpu, "wgslLanguageFeatures", { value: new Set(), configurable: true });
  const without = await converted();
  Reflect.deleteProperty(navigator.gpu, "wgslLanguageFeatures");
  plain.dispose();
  device.destroy();
  return { ...results, int8, without, added: after.filter((name) => !before.includes(name)).sort() };
}

/** Reads a prompt of so many tokens. Returns how many were read. */
async function longPrompt(source: string, tokens: number): Promise<number> {
  const engine = await load(new URL(source, location.href).href, { context: tokens + 32 });
  const prompt = { tokens: Array.from({ length: tokens }, (_, i) => 10 + (i % 200)) };
  let read = 0;
  const onPrefill = (done: number) => void (read = done);
  await engine.session().generate(prompt, { maxTokens: 2, ignoreEnd: true, onPrefill }).result;
  engine.dispose();
  return read;
}

export const gpus = { asGpu, inInt8, longPrompt };

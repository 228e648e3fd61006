// What the tests of memory call inside the page: plans beside what is really allocated, small limits, allocations that fail.
import { type Engine, load, type LoadOptions, type MemoryPlan, type MemoryUse, plan } from "../src/index.ts";
import { liveBuffers } from "./live.ts";
import { sharedDevice } from "./shared.ts";

const absolute = (source: string): string => new URL(source, location.href).href;

const useOf = (engine: Engine): MemoryUse => {
  const { weightBytes, kvBytes, scratchBytes } = engine.stats();
  return { weightBytes, kvBytes, scratchBytes };
};

/** The most bytes that buffers of a device have at one time, until the function that is returned is called. */
function watchBytes(device: GPUDevice): () => number {
  let [bytes, most] = [0, 0];
  const { createBuffer } = device;
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer.call(device, descriptor);
    most = Math.max(most, (bytes += buffer.size));
    const { destroy } = buffer;
    buffer.destroy = () => {
      bytes -= buffer.size;
      delete (buffer as Partial<GPUBuffer>).destroy;
      return destroy.call(buffer);
    };
    return buffer;
  };
  return () => {
    delete (device as Partial<GPUDevice>).createBuffer;
    return most;
  };
}

export interface Planned {
  plan: MemoryPlan;
  /** Buffers that planning has made. */
  made: number;
  loaded: MemoryUse;
  /** Once requests of every kind have filled the context. */
  full: MemoryUse;
  peakBytes: number;
  engine: { kv: string; context: number };
}

/** The plan of a load, and the load; with a prompt, which is then repeated, also the whole context. */
async function planned(source: string, options: LoadOptions, prompt: readonly number[] = []): Promise<Planned> {
  const device = await sharedDevice();
  const all = { tune: "off", ...options, device } as const;
  const before = liveBuffers();
  const made = await plan(absolute(source), all);
  const buffers = liveBuffers() - before;
  const peak = watchBytes(device);
  const engine = await load(absolute(source), all);
  const loaded = useOf(engine);
  if (prompt.length > 0) await fill(engine, prompt);
  const result = { plan: made, made: buffers, loaded, full: useOf(engine), peakBytes: peak() };
  const { kv, context } = engine.model;
  engine.dispose();
  return { ...result, engine: { kv, context } };
}

/** One token after a text as long as the context, with everything that needs memory of its own. */
async function fill(engine: Engine, prompt: readonly number[]): Promise<void> {
  const { context } = engine.model;
  const text = Array.from({ length: context - 2 }, (_, i) => prompt[(7 * i) % prompt.length]!);
  const sampling = { temperature: 1, topK: 5, frequencyPenalty: 0.1, maxTokens: 1 };
  await engine.session().generate({ tokens: text }, sampling).result;
  await engine.score(prompt.slice(0, 9));
  await engine.evaluate(prompt.slice(0, 4), prompt.slice(4, 6), { onLogits: () => {} });
}

/** The message of the error that planning or loading ends with. */
const refused = (what: "plan" | "load", source: string, options: LoadOptions): Promise<string> =>
  (what === "plan" ? plan : load)(absolute(source), { tune: "off", ...options }).then(
    () => "fulfilled",
    (error: Error & { code?: string }) => `${error.name} ${error.code}: ${error.message}`,
  );

export interface Spoken {
  tokens: number[];
  logprobs: number[];
  scores: number[];
  /** Buffers of weights. */
  pieces: number;
}

/** What a model says on a device that binds at most `most` bytes at once. */
async function bounded(source: string, options: LoadOptions, most: number, prompt: number[]): Promise<Spoken> {
  const device = await sharedDevice();
  const { limits, createBuffer } = device;
  const lowered = new Proxy(limits, {
    get: (all, name) =>
      name === "maxStorageBufferBindingSize" ? most : (Reflect.get(all, name, all) as number | undefined),
  });
  Object.defineProperty(device, "limits", { value: lowered, configurable: true });
  let pieces = 0;
  device.createBuffer = (descriptor) => {
    if (descriptor.size > most) throw new Error(`a buffer of ${descriptor.size} bytes`);
    if (descriptor.label?.endsWith("words")) pieces++;
    return createBuffer.call(device, descriptor);
  };
  try {
    return { ...(await spoken(source, { tune: "off", ...options, device }, prompt)), pieces };
  } finally {
    for (const own of ["limits", "createBuffer"] as const) delete (device as Partial<GPUDevice>)[own];
  }
}

async function spoken(source: string, options: LoadOptions, prompt: number[]): Promise<Omit<Spoken, "pieces">> {
  const engine = await load(absolute(source), options);
  const reply = engine.session().generate({ tokens: prompt }, { maxTokens: 6, ignoreEnd: true });
  const { tokens, logprobs } = await reply.result;
  const scores = [...(await engine.score(prompt))].slice(1);
  engine.dispose();
  return { tokens, logprobs, scores };
}

/** How the nth allocation fails. */
const FAILURES = {
  /** The call throws, as for a size that no machine has. */
  throws: () => {
    throw new RangeError("the allocation was told to fail");
  },
  /** A rule is broken: the device says so in the scope. */
  refuses: (device: GPUDevice, make: GPUDevice["createBuffer"], descriptor: GPUBufferDescriptor) =>
    make.call(device, { ...descriptor, size: device.limits.maxBufferSize + 4 }),
  /** There is no memory. */
  lacks: (device: GPUDevice, make: GPUDevice["createBuffer"], descriptor: GPUBufferDescriptor) => {
    const { popErrorScope } = device;
    device.popErrorScope = async () => {
      delete (device as Partial<GPUDevice>).popErrorScope;
      await popErrorScope.call(device);
      return new GPUOutOfMemoryError("the memory was told to be full");
    };
    return make.call(device, descriptor);
  },
} as const;

/** Runs `work` while the device has no memory for buffers with this label. */
export async function starving<T>(device: GPUDevice, label: string, work: () => Promise<T>): Promise<T> {
  const { createBuffer } = device;
  device.createBuffer = (descriptor) =>
    descriptor.label === label
      ? FAILURES.lacks(device, createBuffer, descriptor)
      : createBuffer.call(device, descriptor);
  try {
    return await work();
  } finally {
    delete (device as Partial<GPUDevice>).createBuffer;
  }
}

export interface Failures {
  /** Allocations of a load. */
  allocations: number;
  /** Of each that failed: how, how the load ended, and buffers that are left. */
  outcomes: { kind: keyof typeof FAILURES; outcome: string; left: number }[];
  /** What the device complained of outside all scopes. */
  stray: string[];
}

/** Loads a model again and again, and lets another allocation fail each time: every `step`-th of those that it makes. */
async function failingAllocations(source: string, options: LoadOptions, step: number): Promise<Failures> {
  const device = await sharedDevice();
  const stray: string[] = [];
  const listen = (event: Event) => stray.push((event as GPUUncapturedErrorEvent).error.message);
  device.addEventListener("uncapturederror", listen);
  const { createBuffer } = device;
  const attempt = async (failing: number, fail: keyof typeof FAILURES) => {
    let count = 0;
    device.createBuffer = (descriptor) =>
      ++count === failing ? FAILURES[fail](device, createBuffer, descriptor) : createBuffer.call(device, descriptor);
    const before = liveBuffers();
    const outcome = await load(absolute(source), { tune: "off", ...options, device }).then(
      (engine) => (engine.dispose(), "loaded"),
      (error: Error) => `${error.name}: ${error.message}`,
    );
    return { count, outcome, left: liveBuffers() - before };
  };
  const { count: allocations } = await attempt(0, "throws");
  const kinds = Object.keys(FAILURES) as (keyof typeof FAILURES)[];
  const outcomes: Failures["outcomes"] = [];
  for (let failing = 1; failing <= allocations; failing += step) {
    const kind = kinds[failing % kinds.length]!;
    outcomes.push({ kind, ...(await attempt(failing, kind)) });
  }
  delete (device as Partial<GPUDevice>).createBuffer;
  device.removeEventListener("uncapturederror", listen);
  return { allocations, outcomes, stray };
}

const planOf = (source: string, options: LoadOptions): Promise<MemoryPlan> => plan(absolute(source), options);

export const memory = { planned, planOf, refused, bounded, failingAllocations };

// One compute pipeline, typed by the object that shaders/generate.mjs read off its WGSL file.
import { assert, UnsupportedError } from "../errors.ts";
import { fixesLanes } from "./offer.ts";
import { type Lengths, specialise, type Template, withFixedLanes } from "./specialise.ts";
import { type Code, textOf } from "./text.ts";

/** Offset in bytes and type of each member of a struct. */
export type Fields = Readonly<Record<string, { offset: number; type: string }>>;

/** A struct of a storage buffer. */
export interface StructLayout {
  /** Bytes from one to the next in an array. */
  readonly size: number;
  readonly fields: Fields;
}

export interface KernelSource extends Omit<Template, "code"> {
  readonly code: Code;
  readonly bindings: Readonly<Record<string, { binding: number; type: "storage" | "read-only-storage" }>>;
  readonly params: {
    binding: number;
    size: number;
    fields: Fields;
  } | null;
  readonly features: readonly string[];
}

type Names<T> = keyof T & string;
/** A buffer, or a slice of one (offset aligned to minStorageBufferOffsetAlignment). */
export type Bindable = GPUBuffer | GPUBufferBinding;
export type Buffers<K extends KernelSource> = { readonly [B in Names<K["bindings"]>]: Bindable };
export type Params<K extends KernelSource> = K["params"] extends { fields: infer F }
  ? { readonly [P in keyof F]: number }
  : Record<string, never>;
/** Overrides and tile constants by name; what is left out keeps the value in the file. Of a family those of any member. */
export type Constants<K extends KernelSource> = { readonly [O in ConstantNames<K>]?: number };
type ConstantNames<K> = K extends KernelSource ? Names<K["overrides"]> | Names<K["tiles"]> : never;

/** Bytes that a binding covers. */
export const bytesOf = (bound: Bindable): number =>
  "buffer" in bound ? (bound.size ?? bound.buffer.size - (bound.offset ?? 0)) : bound.size;

/** Only the overrides: what pipeline creation accepts as `constants`. */
const overridesOf = (source: KernelSource, constants: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(constants).filter(([name]) => name in source.overrides));

/** What the compiler means: lines of a build are long, and not those of the file. */
function placeOf(code: string, { lineNum, linePos }: GPUCompilationMessage): string {
  const text = code.split("\n")[lineNum - 1]?.slice(linePos - 1, linePos + 59);
  return text ? ` at "${text}"` : "";
}

/** The text that a device compiles. */
export async function compiledText(
  device: GPUDevice,
  source: KernelSource,
  values: Readonly<Record<string, number>>,
  lengths: Lengths = {},
): Promise<string> {
  const template = { ...source, code: await textOf(source) };
  const text = await specialise(template, values, lengths);
  return fixesLanes(device) ? withFixedLanes(template, text) : text;
}

export class Kernel<K extends KernelSource = KernelSource> {
  readonly device: GPUDevice;
  readonly source: K;
  readonly pipeline: GPUComputePipeline;
  readonly #layout: GPUBindGroupLayout;

  private constructor(device: GPUDevice, source: K, pipeline: GPUComputePipeline, layout: GPUBindGroupLayout) {
    this.device = device;
    this.source = source;
    this.pipeline = pipeline;
    this.#layout = layout;
  }

  /** Compiles. Throws UnsupportedError with the compiler's line and column where the adapter refuses the shader. */
  static async create<K extends KernelSource>(
    device: GPUDevice,
    source: K,
    constants: Constants<K>,
    lengths: Lengths = {},
  ): Promise<Kernel<K>> {
    const { name, params } = source;
    const values = constants as Readonly<Record<string, number>>;
    const entries = Object.values(source.bindings).map(({ binding, type }): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type },
    }));
    if (params) {
      const buffer = { type: "uniform", hasDynamicOffset: true, minBindingSize: params.size } as const;
      entries.push({ binding: params.binding, visibility: GPUShaderStage.COMPUTE, buffer });
    }
    const layout = device.createBindGroupLayout({ label: name, entries });
    const code = await compiledText(device, source, values, lengths);
    const module = device.createShaderModule({ label: name, code });
    try {
      const pipeline = await device.createComputePipelineAsync({
        label: name,
        layout: device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
        compute: { module, constants: overridesOf(source, values) },
      });
      return new Kernel(device, source, pipeline, layout);
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      const lines = messages.map((m) => `${name}.wgsl:${m.lineNum}:${m.linePos} ${m.message}${placeOf(code, m)}`);
      throw new UnsupportedError(
        `kernel ${name}: the adapter refused it with ${JSON.stringify(values)}; ${lines.join("; ") || String(cause)}`,
        { code: "adapter-refused", cause },
      );
    }
  }

  /** `paramBuffer` is bound with a dynamic offset: one bind group serves every dispatch's parameters. */
  bind(buffers: Buffers<K> | Readonly<Record<string, Bindable>>, paramBuffer: GPUBuffer): GPUBindGroup {
    const given = buffers as Readonly<Record<string, Bindable>>;
    const entries = Object.entries(this.source.bindings).map(([name, { binding }]): GPUBindGroupEntry => {
      const resource = given[name];
      assert(resource, `${this.source.name}: buffer ${name} is missing`);
      return { binding, resource: "buffer" in resource ? resource : { buffer: resource } };
    });
    const { params } = this.source;
    if (params) entries.push({ binding: params.binding, resource: { buffer: paramBuffer, size: params.size } });
    return this.device.createBindGroup({ label: this.source.name, layout: this.#layout, entries });
  }
}

/** Writes `values` at byte `offset` of `view` as the shader's `Params` struct lays them out. */
export function packParams(
  source: KernelSource,
  values: Readonly<Record<string, number>>,
  view: DataView,
  offset: number,
): void {
  if (source.params) packFields(source.params.fields, values, view, offset, source.name);
}

/** Writes one number for each of `fields` at byte `offset` of `view`. `owner` is named where one is missing. */
export function packFields<F extends Fields>(
  fields: F,
  values: { readonly [name in keyof F & string]: number },
  view: DataView,
  offset: number,
  owner: string,
): void {
  for (const [name, field] of Object.entries(fields)) {
    const value: number | undefined = values[name];
    assert(value !== undefined && !Number.isNaN(value), `${owner}: parameter ${name} is ${value}`);
    const at = offset + field.offset;
    if (field.type === "f32") view.setFloat32(at, value, true);
    else if (field.type === "i32") view.setInt32(at, value, true);
    else view.setUint32(at, value, true);
  }
}

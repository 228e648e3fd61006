// Dawn's WebGPU for programs in Node, where pages have it.
import { create, globals } from "webgpu";

/** Puts it there. (A function: the package says that its modules do nothing when they are imported.) */
export function useDawn(): void {
  Object.assign(globalThis, globals);
  // Its instance must outlive its adapters: it stays reachable here.
  const gpu = create(["enable-dawn-features=allow_unsafe_apis"]);
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
}

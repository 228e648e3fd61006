// The line under the header that names a software adapter, or says that the device was lost.

import type { EngineEvent, EngineStats } from "../../src/index.ts";
import { find, make } from "../shared/dom.ts";

/** Says what to expect where no GPU is in use, until it is dismissed. */
export function showNotice({ adapter }: EngineStats): void {
  const notice = find("notice", HTMLElement);
  notice.hidden = !adapter.software;
  if (!adapter.software) return;
  const close = make("button", { type: "button", className: "tool", textContent: "Dismiss" });
  close.addEventListener("click", () => (notice.hidden = true));
  const what = make("span", {}, make("strong", { textContent: "No GPU in use." }));
  what.append(
    ` ${adapter.name.replace(/^.* · /, "").replace("swiftshader", "SwiftShader")} computes on the processor: expect about a hundredth of a GPU's speed.`,
  );
  notice.replaceChildren(what, close);
}

/** Says that the graphics device was lost, until there is another one. */
export function showDevice({ type }: EngineEvent): void {
  const notice = find("notice", HTMLElement);
  notice.textContent = "The graphics device was lost; going on.";
  notice.hidden = type !== "device-lost";
}

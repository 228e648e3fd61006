// LESS: a prompt's tokens that SnapKV would drop enter a state of constant size for each KV head, which stands for them as one more
// partial result of attention. Its feature maps are trained. Source: Dong et al. (2402.09398); docs/kv.md.
import { InputError } from "../../../errors.ts";
import { Later } from "../../../later.ts";
import type { SystemDefinition } from "../../system.ts";
import { createSystem, SNAP_OPTIONS, work as scoring } from "../pyramid/system.ts";
import { mapBytes, type Maps, nameMaps, stateNumbers } from "./shape.ts";

const work = new Later(() => import("./state.ts"));

/** Channels of a head that the kernel has room for. */
const MOST_WIDTH = 256;

export const less: SystemDefinition = {
  name: "less",
  load: () => Promise.all([scoring.load(), work.load()]),
  options: SNAP_OPTIONS,
  create({ budget, window }, model, _, layout) {
    const { kvHeads, headWidth } = model;
    if (headWidth > MOST_WIDTH)
      throw new InputError(
        `kv: less; got heads of ${headWidth} channels, want at most ${MOST_WIDTH}. Take snapkv instead.`,
      );
    let maps: Maps;
    return {
      ...createSystem("less", { budget: budget!, window: window!, beta: 1 }, kvHeads, layout),
      absorb: (store, context) => work.now.absorb(context, store, maps.keys[layout.owners[store]!]!),
      partials: {
        count: 1,
        isIn: ({ pagesGivenUp }) => pagesGivenUp > 0,
        write: (layer, context) => work.now.partial(context, layer, maps.queries[layer]!),
      },
      weights: (tensors) => void (maps = nameMaps(tensors, model)),
      extraWeightBytes: mapBytes(model),
      stateBytes: { block: 0, prompt: 4 * layout.stores * kvHeads * stateNumbers(model) },
      state: (context) => work.now.stateAccess(context),
    };
  },
};

// KVSharer: some layers read the keys and values of an earlier one and make none. Source: Yang et al. (2410.18517); docs/kv.md.
// Which ones, a search on the model says: load/sharing.ts.
import type { SystemDefinition } from "../../system.ts";
import { layoutOf } from "../swiftkv/layout.ts";
import { MAP_PATTERN, readMap, sharedLayout } from "./map.ts";

export const kvsharer: SystemDefinition = {
  name: "kvsharer",
  options: {},
  texts: {
    map: { pattern: MAP_PATTERN, want: "layers and whose keys and values they read, such as 5-2/7-2, or none" },
  },
  layout({ layers, swiftkv }, { map }) {
    const base = layoutOf(layers, swiftkv);
    return sharedLayout(base, readMap(map!, layers, base.boundary));
  },
  create: () => ({ name: "kvsharer" }),
};

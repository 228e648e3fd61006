// The systems that recipes know by name. SwiftKV is not among them: a checkpoint has it, or `convert` makes it.
import type { SystemDefinition } from "../system.ts";
import { kivi } from "./kivi/system.ts";
import { kvmerger } from "./kvmerger/system.ts";
import { kvsharer } from "./kvsharer/system.ts";
import { kvzip } from "./kvzip/system.ts";
import { less } from "./less/system.ts";
import { locret } from "./locret/system.ts";
import { minicache } from "./minicache/system.ts";
import { pyramid, snapkv } from "./pyramid/system.ts";
import { shadow } from "./shadow/system.ts";
import { think } from "./think/system.ts";
import { vlcache } from "./vlcache/system.ts";

export const SYSTEMS: readonly SystemDefinition[] = [
  kivi,
  kvmerger,
  kvsharer,
  kvzip,
  less,
  locret,
  minicache,
  pyramid,
  shadow,
  snapkv,
  think,
  vlcache,
];

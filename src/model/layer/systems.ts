// Where a recipe's systems stand in a layer.
import type { AnyDispatch } from "../../gpu/program.ts";
import type { Place } from "../../kv/system.ts";
import { Later } from "../../later.ts";
import type { ModelContext, Span } from "../context.ts";
import type { Sizes } from "../ops/sizes.ts";
import { contextOf } from "./systemcontext.ts";

/** Partial results of systems, and what happens at the end of prompts: there where a recipe has systems. */
export const extra = new Later(() => import("./extra.ts"));

/** The systems' own dispatches at a place of a layer. */
export const atPlace = (model: ModelContext, place: Place, layer: number, span: Span): AnyDispatch<Sizes>[] =>
  model.systems.flatMap((system) => system.at?.(place, layer, contextOf(model, span)) ?? []);

/** What is done once the last layer has read a store. */
export const atEnd = (model: ModelContext, layer: number, span: Span): AnyDispatch<Sizes>[] =>
  model.systems.length > 0 ? extra.now.keepTokens(model, layer, span) : [];

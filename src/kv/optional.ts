// What a cache needs whose recipe is more than a format: fetched with the recipe, before a model is made with it.
import { Later } from "../later.ts";

export const optional = new Later(() => import("./more.ts"));

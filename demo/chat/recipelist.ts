// The choice of recipe for keys and values: a radio button for each, with its memory cost and its loss.

import type { ModelInfo } from "../../src/index.ts";
import { find, make } from "../shared/dom.ts";
import { bytes, count } from "../shared/numbers.ts";
import { OFFERS, priceOf, testOf } from "./recipes.ts";
import type { Offer } from "./recipes.ts";

/** Fills #recipes with radio buttons named "kv". Returns a function that shows the figures for a model at a given context. */
export function recipeList(): (model: ModelInfo, context: number) => void {
  const rows = OFFERS.map((offer, index) => recipeRow(offer, `recipe-${index}`));
  find("recipes", HTMLElement).replaceChildren(...rows.map(({ element }) => element));
  return (model, context) => {
    for (const row of rows) row.show(model, context);
    find("recipes-context", HTMLElement).textContent = ` for ${count(context)} tokens`;
    find("recipes-test", HTMLElement).textContent = testOf(model) ?? "";
  };
}

interface Row {
  element: HTMLElement;
  show(model: ModelInfo, context: number): void;
}

function recipeRow(offer: Offer, id: string): Row {
  const input = make("input", {
    type: "radio",
    name: "kv",
    value: offer.recipe,
    attributes: { "aria-labelledby": `${id}-name`, "aria-describedby": `${id}-note ${id}-figures` },
  });
  const name = make("span", { id: `${id}-name`, className: "recipe-name", textContent: offer.recipe });
  const note = make("small", { id: `${id}-note`, textContent: offer.note });
  const figures = make("span", { id: `${id}-figures`, className: "recipe-figures" });
  return {
    element: make("label", { className: "recipe" }, input, make("span", {}, name, note), figures),
    show: (model, context) => figures.replaceChildren(...figuresOf(offer, model, context)),
  };
}

function figuresOf({ recipe, nll }: Offer, model: ModelInfo, context: number): (HTMLElement | string)[] {
  const { kvBytes, kvBytesPerToken, extraWeightBytes } = priceOf(recipe, model, context);
  const quality = nll[model.name];
  const lines = [
    `${bytes(kvBytesPerToken)} a token`,
    ...(extraWeightBytes > 0 ? [`${bytes(extraWeightBytes)} more weights`] : []),
    ...(quality === undefined ? [] : [`NLL ${quality}`]),
  ];
  return [bytes(kvBytes), ...lines.map((textContent) => make("small", { textContent }))];
}

// The choice of recipe for keys and values: a radio button for each, with its memory cost and its loss.

import type { ModelInfo, RecipePrice } from "../../src/index.ts";
import { find, make } from "../shared/dom.ts";
import { bytes, count } from "../shared/numbers.ts";
import { OFFERS, priceOf, testOf, wholeNote } from "./recipes.ts";
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
    attributes: { "aria-labelledby": `${id}-name`, "aria-describedby": `${id}-note ${id}-whole ${id}-figures` },
  });
  const parts = offer.recipe.split(/(?<=[:,])/).flatMap((part) => [part, make("wbr")]); // where a long one may break
  const name = make("span", { id: `${id}-name`, className: "recipe-name" }, ...parts);
  const note = make("small", { id: `${id}-note`, textContent: offer.note });
  const figures = make("span", { id: `${id}-figures`, className: "recipe-figures" });
  const whole = make("small", { id: `${id}-whole` });
  const element = make("label", { className: "recipe" }, input, make("span", {}, name, note, whole), figures);
  return {
    element,
    show(model, context) {
      const price = priceOf(offer.recipe, model, context);
      const fits = typeof price !== "string";
      input.disabled = !fits && !input.checked; // what is chosen can be seen to be the reason
      whole.textContent = fits ? wholeNote(offer.recipe, model, context) : price;
      figures.replaceChildren(...(fits ? figuresOf(offer, model, price) : []));
    },
  };
}

function figuresOf({ kl }: Offer, { name }: ModelInfo, price: RecipePrice): (HTMLElement | string)[] {
  const { kvBytes, kvBytesPerToken, extraWeightBytes } = price;
  const loss = kl[name];
  const lines = [
    `${bytes(kvBytesPerToken)} a token`,
    ...(extraWeightBytes > 0 ? [`${bytes(extraWeightBytes)} weights`] : []),
    ...(loss === undefined ? [] : [`KL ${loss}`]),
  ];
  return [bytes(kvBytes), ...lines.map((textContent) => make("small", { textContent }))];
}

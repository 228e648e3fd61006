import { load } from "../../src/index.ts";
import { parseRecipe } from "../../src/recipes.ts";

const engine = await load("../models/fable/", { kv: "pyramid:budget=128", context: 2048 });
const sentence = "The cat looked into the box and found a red ball, a blue cup and a small green hat. ";
const prompt = engine.tokenize(sentence.repeat(30));
const reply = engine.session().generate({ tokens: prompt }, { maxTokens: 20, temperature: 0 });
for await (const { text } of reply) document.getElementById("reply")!.append(text);

const price = (recipe: string) => parseRecipe(recipe).price(engine.model.kvShape, prompt.length);
const [kept, whole] = [price(engine.model.kv), price("f16")];
const kilobytes = (bytes: number) => `${Math.round(bytes / 1000)} kB`;
document.getElementById("note")!.textContent =
  `Done: ${prompt.length} tokens in ${kilobytes(kept.kvBytes)}; all of them in 16 bits take ${kilobytes(whole.kvBytes)}`;

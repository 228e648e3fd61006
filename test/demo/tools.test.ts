// The page on which JSON and functions are tried, with Fable; and how it reads what the user types.

import { expect } from "playwright/test";
import { faultOf, readFunctions, readSchema } from "../../demo/tools/reading.ts";
import { precisionOf } from "../../demo/chat/precision.ts";
import { axeFaults, sidewaysOverflow, test, wait } from "./visit.ts";

test("a schema holds the reply to its form; functions are called, answered, and the model goes on", async ({
  visit,
  site,
}) => {
  const { page, faults } = await visit();
  await page.goto(`${site}/tools.html`);
  const run = page.getByRole("button", { name: "Run" });
  const schema = page.getByRole("textbox", { name: "JSON schema" });
  await schema.fill("{ no");
  await run.click();
  await expect(page.getByRole("alert")).toContainText("The schema: this is no JSON.");
  await expect(schema).toBeFocused();
  const properties = { animal: { enum: ["cat", "dog"] }, legs: { type: "integer", minimum: 2, maximum: 4 } };
  await schema.fill(JSON.stringify({ type: "object", properties, required: ["animal", "legs"] }));
  await run.click();
  await expect(page.getByText("Valid: it keeps to the schema.")).toBeVisible(wait);
  const reply = page.getByRole("region", { name: "Reply of Fable" });
  const { animal, legs } = JSON.parse(await reply.innerText()) as { animal: string; legs: number };
  expect(["cat", "dog"]).toContain(animal);
  expect([2, 3, 4]).toContain(legs);
  expect(await axeFaults(page)).toEqual([]);

  await page.getByRole("radio", { name: "Calls of functions" }).check();
  const draw = { name: "draw", parameters: { type: "object", properties, required: ["animal", "legs"] } };
  await page.getByRole("textbox", { name: "Functions" }).fill(JSON.stringify(draw));
  await page.getByLabel("Most tokens").fill("96");
  await run.click();
  const call = page.getByRole("region", { name: "Call 1: draw" });
  await expect(call).toContainText(/"animal": "(cat|dog)",\s+"legs": [234]/, wait);
  await call.getByRole("textbox", { name: "Result of call 1" }).fill('{ "picture": "drawn" }');
  await page.getByLabel("Most tokens").fill("4");
  expect(await axeFaults(page)).toEqual([]);
  await page.getByRole("button", { name: /^Send the result/ }).click();
  await expect(page.getByRole("heading", { name: "Fable", level: 3 })).toHaveCount(2, wait);
  await expect(run).toBeVisible(wait);
  await expect(page.getByRole("alert").filter({ hasText: /\w/ })).toHaveCount(0);
  await page.setViewportSize({ width: 360, height: 640 });
  expect(await sidewaysOverflow(page)).toBe(0);
  expect(faults).toEqual([]);
  await page.close();
});

test("schemas and functions are read as people write them", async () => {
  const bare = { name: "f", description: "does it" };
  const whole = { type: "function", function: bare };
  for (const text of [bare, [bare], whole, [whole]].map((value) => JSON.stringify(value)))
    expect(readFunctions(text)).toEqual([whole]);
  expect(() => readFunctions('[{ "name": "a b" }]')).toThrow('Function 1 needs a "name"');
  expect(() => readFunctions("[]")).toThrow("Define one function at least.");
  expect(() => readSchema("[]")).toThrow("must be an object");
  const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
  expect(await faultOf('{ "n": 1 }', schema)).toBe("");
  expect(await faultOf('{ "n": 1.5 }', schema)).toContain("#/n");
  expect(await faultOf('{ "n": ', schema)).toBe("it is no whole JSON");
});

test("the precision of a kept model: from a GGUF's name, else from the bits of each parameter", () => {
  const of = (name: string, totalBytes: number, parameters?: number): string =>
    precisionOf({ files: [{ name, bytes: 0, totalBytes }] }, parameters);
  expect(of("SmolLM2-135M-Instruct.Q4_1.gguf", 1)).toBe("Q4_1");
  expect(of("m-IQ2_XS.gguf", 1)).toBe("IQ2_XS");
  expect(of("m-UD-Q4_K_XL-00001-of-00002.gguf", 1)).toBe("UD-Q4_K_XL");
  expect(of("m-BF16.gguf", 1)).toBe("BF16");
  expect(of("model.safetensors", 269e6, 134.5e6)).toBe("16 bits");
  expect(of("model.safetensors", 269e6)).toBe("");
});

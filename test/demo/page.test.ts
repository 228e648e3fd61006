// The pages in a browser, as far as they go without a model: untrusted Markdown, the picker, errors.

import type { Browser, Page } from "playwright";
import { expect, test } from "playwright/test";
import { launch } from "../../demo/server/browser.mjs";
import { serve } from "../../demo/server/server.mjs";
import { axeFaults } from "./visit.ts";

let browser: Browser;
let server: Awaited<ReturnType<typeof serve>>;
let page: Page;
let faults: string[];

test.beforeAll(async () => {
  server = await serve();
  ({ browser } = await launch({ software: true }));
});

test.afterAll(async () => {
  await browser?.close();
  await server?.close();
});

test.beforeEach(async () => {
  page = await browser.newPage();
  faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  // Nothing may leave this machine: not a font, not an image a model asked for.
  page.on("request", (request) => {
    if (!/^(http:\/\/localhost:|data:|blob:)/.test(request.url())) faults.push(`request to ${request.url()}`);
  });
});

test.afterEach(async () => {
  expect(faults).toEqual([]);
  await page.close();
});

const render = async (markdown: string): Promise<string> => {
  if (!page.url().startsWith(server.url)) await page.goto(server.url);
  return page.evaluate(async (text) => {
    const path = "/chat/markdown.ts"; // a variable, so that the test's own compiler does not look for it
    const { renderMarkdown } = (await import(path)) as { renderMarkdown(text: string): DocumentFragment };
    const holder = document.body.appendChild(document.createElement("div"));
    holder.append(renderMarkdown(text));
    return holder.innerHTML;
  }, markdown);
};

test("Markdown comes out as text, lists, tables, code and safe links", async () => {
  const html = await render(
    "**bold** `a<b`\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[site](https://example.com)\n\n```js\nlet x;\n```",
  );
  for (const part of ["<strong>bold</strong>", "<code>a&lt;b</code>", "<li>two</li>", "<td>2</td>", "let x;"])
    expect(html).toContain(part);
  expect(html).toMatch(
    /<a (?=[^>]*href="https:\/\/example\.com")(?=[^>]*rel="noopener noreferrer nofollow")(?=[^>]*target="_blank")/,
  );
});

test("nothing a model writes becomes script, image, style, form or foreign link", async () => {
  const attacks = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "![spy](https://evil.example/x.png)",
    "![spy][ref]\n\n[ref]: https://evil.example/x.png",
    "[click](javascript:window.hit=1)",
    "[click](data:text/html,<script>window.hit=1</script>)",
    "[click](vbscript:x) [rel](/models.json)",
    "<a href='javascript:window.hit=1' id='composer-text' name='x'>x</a>",
    "<svg><script>window.hit=1</script></svg><iframe src='https://evil.example'></iframe>",
    "<style>body{display:none}</style><form action='https://evil.example'><input name=q></form>",
    "`<img src=x onerror=window.hit=1>`\n\n    <script>window.hit=1</script>",
    '[x](https://example.com "a\\" onmouseover=window.hit=1 b")',
    '<https://example.com/"onclick=window.hit=1>',
  ];
  for (const attack of attacks) {
    const html = await render(attack);
    const bad = await page.evaluate((markup) => {
      const holder = document.createElement("template");
      holder.innerHTML = markup;
      const elements = [...holder.content.querySelectorAll("*")];
      const allowed = new Set(["P", "A", "CODE", "PRE", "BR"]);
      const attributes = elements.flatMap((element) => [...element.attributes].map((attribute) => attribute.name));
      const links = [...holder.content.querySelectorAll("a[href]")].map((link) => link.getAttribute("href") ?? "");
      return {
        elements: elements.map((element) => element.tagName).filter((name) => !allowed.has(name)),
        attributes: attributes.filter((name) => !["href", "rel", "target", "tabindex"].includes(name)),
        links: links.filter((href) => !href.startsWith("https://example.com")),
        hit: "hit" in window,
      };
    }, html);
    expect(bad, attack).toEqual({ elements: [], attributes: [], links: [], hit: false });
  }
});

test("growing Markdown keeps the blocks that are finished", async () => {
  await page.goto(server.url);
  const kept = await page.evaluate(async () => {
    const path = "/chat/markdown.ts";
    const { markdownView } = (await import(path)) as { markdownView(target: HTMLElement): (text: string) => void };
    const target = document.createElement("div");
    const show = markdownView(target);
    show("First block.\n\nSec");
    const first = target.children[0];
    show("First block.\n\nSecond block.\n\n- a");
    return {
      same: target.children[0] === first,
      text: target.textContent?.replaceAll(/\s+/g, " ").trim(),
      blocks: target.children.length,
    };
  });
  expect(kept).toEqual({ same: true, text: "First block. Second block. a", blocks: 3 });
});

test("the picker offers Fable and what lies in models/, and refuses nonsense", async () => {
  await page.route("**/models.json", (route) =>
    route.fulfill({ json: [{ name: "mine", path: "my model/", bytes: 5e6 }] }),
  );
  await page.goto(server.url);
  await expect(page.getByRole("button", { name: /Fable.*8 MB/ })).toBeVisible();
  await expect(page.getByRole("button", { name: /mine.*5\.0 MB/ })).toBeVisible();
  const field = page.getByLabel("Hugging Face id or address");
  await field.fill("no such thing");
  await page.getByRole("button", { name: "Load" }).click();
  expect(await field.evaluate((input: HTMLInputElement) => input.validationMessage)).toMatch(/owner\/name/);
  await expect(page.locator("#picker")).toBeVisible();
});

test("a model that is not there ends in a card with a way out", async () => {
  await page.goto(`${server.url}/?model=/models/absent/`);
  const card = page.getByRole("alert");
  await expect(card.getByRole("heading")).toHaveText("There is no such model");
  await expect(card.getByRole("button", { name: "Try again" })).toHaveCount(0);
  await expect(page.getByRole("button", { name: /Fable/ })).toBeVisible();
});

test("without WebGPU the page says so before anything is loaded", async () => {
  await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, "gpu"));
  await page.goto(server.url);
  await expect(page.getByRole("alert").getByRole("heading")).toHaveText("This browser gives the page no GPU");
});

test("without an adapter the engine's error says so", async () => {
  await page.addInitScript(() => (GPU.prototype.requestAdapter = async () => null));
  await page.goto(`${server.url}/?model=${encodeURIComponent("/models/fable/")}`);
  const card = page.getByRole("alert");
  await expect(card.getByRole("heading")).toHaveText("This browser gives the page no GPU");
  await expect(card).toContainText("the browser found no adapter");
});

test("no page scrolls sideways on a small phone", async () => {
  await page.setViewportSize({ width: 360, height: 640 });
  for (const path of ["/", "/bench.html", "/tools.html"]) {
    await page.goto(server.url + path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(360);
  }
});

test("axe finds nothing serious on any page, light or dark", async () => {
  for (const path of ["/", "/bench.html", "/distil.html", "/tools.html"]) {
    await page.goto(server.url + path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await axeFaults(page), `${path}, ${colorScheme}`).toEqual([]);
    }
  }
});

test("an unknown path is a 404, so that probing for model files works", async () => {
  for (const path of ["/models/fable/absent.json", "/models/absent/", "/nowhere"])
    expect((await fetch(server.url + path)).status, path).toBe(404);
  expect((await fetch(`${server.url}/models/fable/config.json`)).headers.get("content-type")).toBe("application/json");
});

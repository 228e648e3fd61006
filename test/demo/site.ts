// What the tests of the pages share.

import type { BrowserContext, Page } from "playwright";

export const wait = { timeout: 60_000 };

/** A page with the default settings. Its exceptions, console errors and requests to other machines become faults. */
export async function watchedPage(context: BrowserContext, onFault: (fault: string) => void): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.addInitScript(() => localStorage.clear());
  page.on("pageerror", (error) => onFault(error.message));
  page.on("console", (message) => {
    const { url } = message.location();
    if (message.type() === "error") onFault(`${message.text()} ${url}`);
  });
  page.on("request", (request) => {
    if (!/^(http:\/\/localhost:|data:|blob:)/.test(request.url())) onFault(`request to ${request.url()}`);
  });
  return page;
}

export const sidewaysOverflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

// Finds and starts a Chromium that can do WebGPU, for the command line, the benchmark and the tests.

import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { isPublished } from "./server.mjs";

const { chromium } = await import("playwright-core").catch(() => {
  throw new Error("browser: playwright-core is missing, which starts one. Run `npm install playwright-core`.");
});

const NAMES = [
  "google-chrome",
  "google-chrome-stable",
  "chromium",
  "chromium-browser",
  "microsoft-edge",
  "brave-browser",
];

const MAC = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
];

const WINDOWS = [
  "Google\\Chrome\\Application\\chrome.exe",
  "Chromium\\Application\\chrome.exe",
  "Microsoft\\Edge\\Application\\msedge.exe",
];

/** Path of a browser, and the arguments that enable WebGPU in it. Installs Debian's Chromium when run as root without one.
 * @param {{software?: boolean, headed?: boolean}} [options] software: use SwiftShader even if there is a GPU
 * @returns {Promise<{executablePath: string, args: string[]}>}
 * @throws {Error} one line: what to install */
export async function findBrowser(options = {}) {
  const executablePath = fromEnvironment() ?? managed() ?? installed() ?? installOnDebian();
  if (!executablePath) {
    throw new Error(
      "browser: found none. Install Google Chrome or Chromium, or set CHROME_PATH, or run `npx playwright-core install chromium`.",
    );
  }
  return { executablePath, args: browserArgs(options) };
}

/** Starts a browser. Falls back to SwiftShader when the hardware gives no adapter.
 * @param {{headed?: boolean, software?: boolean}} [options]
 * @returns {Promise<{browser: import("playwright").Browser, software: boolean}>} */
export async function launch(options = {}) {
  const software = options.software ?? !hardwareExpected();
  const browser = await start({ ...options, software });
  if (software || (await hasAdapter(browser))) return { browser, software };
  await browser.close();
  return { browser: await start({ ...options, software: true }), software: true };
}

async function start(options) {
  const { executablePath, args } = await findBrowser(options);
  return chromium.launch({
    executablePath,
    args,
    headless: !options.headed,
    handleSIGINT: false, // the callers close what they opened themselves
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
}

/** @param {{software?: boolean, headed?: boolean}} [options] */
export function browserArgs(options = {}) {
  const args = [
    "--enable-unsafe-webgpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
  ];
  if (!options.headed) args.unshift("--headless=new");
  if (process.getuid?.() === 0) args.push("--no-sandbox");
  if (options.software ?? !hardwareExpected())
    return [...args, "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];
  if (process.platform !== "linux") return args;
  // Without a window there is no surface to present to; Chrome then needs Vulkan named for ANGLE as well.
  return [
    ...args,
    "--enable-features=Vulkan",
    ...(options.headed ? [] : ["--use-angle=vulkan", "--disable-vulkan-surface"]),
  ];
}

function hardwareExpected() {
  if (process.platform !== "linux") return true;
  return (
    devices("/dev").some((name) => /^(nvidia\d+|dxg)$/.test(name)) ||
    devices("/dev/dri").some((name) => name.startsWith("render"))
  );
}

const devices = (path) => (existsSync(path) ? readdirSync(path) : []);

/** WebGPU exists on secure origins only, so the probe page pretends to come from localhost. */
async function hasAdapter(browser) {
  const page = await browser.newPage();
  try {
    await page.route("http://localhost/**", (route) =>
      route.fulfill({ contentType: "text/html", body: "<!doctype html>" }),
    );
    await page.goto("http://localhost/probe");
    return await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()));
  } catch {
    return false;
  } finally {
    await page.close().catch(() => {});
  }
}

function fromEnvironment() {
  const path = process.env.CHROME_PATH;
  if (!path) return null;
  if (!existsSync(path)) throw new Error(`browser: CHROME_PATH names ${path}, which does not exist.`);
  return path;
}

function managed() {
  const path = chromium.executablePath();
  return path && existsSync(path) ? path : null;
}

function installed() {
  if (process.platform === "darwin") return MAC.find((path) => existsSync(path)) ?? null;
  if (process.platform === "win32") {
    const roots = [process.env.PROGRAMFILES, process.env["PROGRAMFILES(X86)"], process.env.LOCALAPPDATA].filter(
      Boolean,
    );
    return roots.flatMap((root) => WINDOWS.map((path) => join(root, path))).find((path) => existsSync(path)) ?? null;
  }
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable) ?? null;
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function installOnDebian() {
  if (isPublished || process.platform !== "linux" || process.getuid?.() !== 0 || !existsSync("/etc/debian_version"))
    return null;
  process.stderr.write("No browser found: installing Debian's chromium (apt-get install -y chromium) …\n");
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => execFileSync("apt-get", args, { stdio: ["ignore", "ignore", "ignore"], env: environment });
  try {
    apt("update");
    apt("install", "-y", "--no-install-recommends", "chromium");
  } catch {
    return null;
  }
  return installed();
}

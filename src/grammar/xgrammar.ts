// The grammar engine, fetched when the first reply needs it: 0.4 MB with its WebAssembly module inside.
import type * as XGrammar from "@mlc-ai/web-xgrammar";
import { UnsupportedError } from "../errors.ts";

export type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from "@mlc-ai/web-xgrammar";
export type Engine = typeof XGrammar;

let loading: Promise<Engine> | null = null;

/** Throws UnsupportedError where the package is not installed or may not run. */
export function xgrammar(): Promise<Engine> {
  loading ??= open().catch((cause: unknown) => {
    loading = null;
    throw new UnsupportedError(
      `constraint: @mlc-ai/web-xgrammar does not load; got ${String(cause)}, want it installed, and a page whose policy has 'wasm-unsafe-eval'. Install it, or name it in an import map.`,
      { cause },
    );
  });
  return loading;
}

/**
 * The package is a script of the UMD kind under the name of an ES module. A bundler makes exports of it; where it is imported
 * as it is, it leaves `globalThis.xgrammar`.
 */
async function open(): Promise<Engine> {
  const restore = lendRequire();
  try {
    const module = (await import("@mlc-ai/web-xgrammar")) as Partial<Engine> & { default?: Engine };
    const found = [module, module.default, (globalThis as { xgrammar?: Engine }).xgrammar];
    const engine = found.find((each): each is Engine => each?.TokenizerInfo !== undefined);
    if (!engine) throw new Error("a module without TokenizerInfo");
    const info = await engine.TokenizerInfo.createTokenizerInfo(["a"], "raw"); // its WebAssembly starts here
    info.dispose();
    return engine;
  } finally {
    restore();
  }
}

/** In Node it looks for `require` and `__filename`, which no ES module has. Returns what takes them back. */
function lendRequire(): () => void {
  const scope = globalThis as {
    require?: unknown;
    __filename?: string;
    __dirname?: string;
    process?: { getBuiltinModule?: (name: string) => { createRequire: (from: string) => unknown } };
  };
  const load = scope.process?.getBuiltinModule;
  if (!load || scope.require) return () => {};
  Object.assign(scope, {
    require: load("node:module").createRequire(import.meta.url),
    __filename: "/",
    __dirname: "/",
  });
  return () => {
    delete scope.require;
    delete scope.__filename;
    delete scope.__dirname;
  };
}

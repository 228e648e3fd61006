// The page behind `npm run kvsharer`: loads a model and looks for layers that may share.

import { load, shareLayers } from "../../src/index.ts";
import { SAMPLE } from "../quality/sample.ts";
import { failure, type Failure, showLoading } from "../shared/loading.ts";
import { count } from "../shared/numbers.ts";

interface Request {
  source: string;
  /** None: the built-in stories. */
  texts: readonly string[];
  layers: number;
  cosine?: number;
}

declare global {
  interface Window {
    runShare(request: Request): Promise<{ result: object } | { error: Failure }>;
  }
}

window.runShare = async ({ source, texts, layers, cosine }) => {
  try {
    const engine = await load(source, { sequences: 1, context: 128, onProgress: showLoading() });
    const began = performance.now();
    const found = await shareLayers(engine, {
      texts: texts.length > 0 ? texts : SAMPLE,
      layers,
      ...(cosine === undefined ? {} : { cosine }),
      onProgress: ({ found: done, tried, pairs }) =>
        void window.emitProgress(`${count(done)} found, pair ${count(tried + 1)} of ${count(pairs)}`),
    });
    const seconds = (performance.now() - began) / 1000;
    const { name, hash } = engine.model;
    const { adapter } = engine.stats();
    engine.dispose();
    return { result: { name, hash, ...found, seconds, adapter: adapter.name } };
  } catch (error) {
    return { error: failure(error) };
  }
};

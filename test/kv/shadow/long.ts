// A reply after a long prompt with ShadowKV, and which chunks its lists held. Runs in a page.
import { TokenEngine } from "../../../src/engine/engine.ts";
import { Gpu } from "../../../src/gpu/device.ts";
import type { ShadowShape } from "../../../src/kv/systems/shadow/shape.ts";
import { stateOf } from "../../../src/kv/systems/shadow/state.ts";
import { GREEDY } from "../../../src/model/model.ts";
import type { Transformer } from "../../../src/model/transformer.ts";
import { fileAt, loadWeights, readBuffer, running } from "./open.ts";

export interface LongReply {
  tokens: number[];
  /** [stores][KV heads] chunks selected by the prompt's last query, and by the query of the last token but one. */
  first: number[][][];
  last: number[][][];
}

export interface LongSetting {
  model: string;
  recipe: string;
  shape: ShadowShape;
  prompt: readonly number[];
  count: number;
}

export async function longReply({ model, recipe, shape, prompt, count }: LongSetting, say: (text: string) => void) {
  const gpu = await Gpu.open();
  const loaded = await loadWeights(gpu, [await fileAt(model)]);
  const context = prompt.length + count + 32;
  const transformer = await running(gpu, loaded, { kv: recipe, context, chunk: 512 });
  const engine = new TokenEngine(transformer);
  const tokensOf = async (maxTokens: number) => {
    const tokens: number[] = [];
    const onPrefill = (done: number) => say(`${done} tokens of the prompt are read`);
    const request = { prompt, maxTokens, endTokens: new Set<number>(), sampling: GREEDY, onPrefill };
    for await (const { token } of engine.generate(request)) tokens.push(token);
    return tokens;
  };
  await tokensOf(1);
  const first = await residents(gpu, transformer, shape);
  const tokens = await tokensOf(count); // the prompt's blocks are still there
  const last = await residents(gpu, transformer, shape);
  gpu.dispose();
  return { tokens, first, last };
}

/** Of the only sequence: the chunks that each list holds, ascending. */
async function residents(gpu: Gpu, { context }: Transformer, shape: ShadowShape): Promise<number[][][]> {
  const { systemContext, cache, config } = context;
  const records = { buffer: cache.lists.inputs };
  const { stores } = stateOf({ ...systemContext, records }, shape);
  return await Promise.all(
    stores.map(async ({ resident }) => {
      const chunks = new Uint32Array(await readBuffer(gpu, resident));
      return Array.from({ length: config.kvHeads }, (_, head) =>
        [...chunks.subarray(head * shape.selected, (head + 1) * shape.selected)].sort((a, b) => a - b),
      );
    }),
  );
}

// `npm run kvsharer`: finds layers of a model that may read another one's keys and values, in a headless browser, and writes them to a file.

import { writeFile } from "node:fs/promises";
import { resolveModel } from "./arguments/models.mjs";
import { UsageError } from "./arguments/read.mjs";
import { parseShare, SHARE_HELP } from "./arguments/sharing.mjs";
import { command, inPage, print, quit, readText, showProgress } from "./command.mjs";

async function main(argv) {
  const options = parseShare(argv);
  if (options.help) return print(`${SHARE_HELP}\n`);
  const texts = await Promise.all(options.texts.map(readText));
  const model = await resolveModel(options.model);
  const { result } = await search(options, texts, model);
  const card = { model: options.model, ...result };
  await writeFile(options.out, `${JSON.stringify(card, null, 2)}\n`).catch(({ message }) => {
    throw new UsageError(`--out ${options.out} cannot be written: ${message}`);
  });
  await print(options.json ? `${JSON.stringify({ ...card, out: options.out })}\n` : report(options, result));
  await quit(0);
}

async function search({ software, json, layers, cosine }, texts, model) {
  const setting = { model, path: "/cli/", browser: software ? { software: true } : {} };
  const answer = await inPage(setting, async (page, source) => {
    await page.exposeFunction("emitProgress", (line) => showProgress(json ? "" : line));
    await page.waitForFunction(() => "runShare" in window);
    return page.evaluate((asked) => window.runShare(asked), { source, texts, layers, cosine });
  });
  showProgress("");
  return answer;
}

function report({ out }, { map, layers, pairs, seconds, adapter, name }) {
  return [
    ...pairs.map(
      ({ reader, owner, distance, cosine }) =>
        `layer ${reader} reads layer ${owner}: distance ${distance.toPrecision(3)}, cosine ${cosine.toFixed(3)}`,
    ),
    `${out}: ${pairs.length} of ${layers} layers of ${name} share, found in ${Math.round(seconds)} s on ${adapter}`,
    `use it: npm start -- --kv kvsharer:map=${out} --prompt "…", or kvsharer:map=${map} anywhere`,
    "",
  ].join("\n");
}

void command("longprompt kvsharer", main);

import { load } from "../../src/index.ts";

const [output, note, stop] = ["reply", "note", "stop"].map((id) => document.getElementById(id)!);
const engine = await load("../models/fable/", {
  onProgress: ({ phase, share }) => {
    note!.textContent = share === null ? phase : `${phase} ${Math.round(100 * share)} %`;
  },
});
const aborting = new AbortController();
stop!.addEventListener("click", () => aborting.abort());
const messages = [{ role: "user", content: "Tell me a story about a cat and a box." }];
const reply = engine.session().generate({ messages }, { maxTokens: 1000, temperature: 0, signal: aborting.signal });
for await (const { text } of reply) output!.append(text);
const { finish, stats } = await reply.result; // an aborted reply has a result, too
note!.textContent = `Done: ${finish}, ${stats.newTokens} tokens`;

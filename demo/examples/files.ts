import { EngineError, load } from "../../src/index.ts";

const [output, note, input] = ["reply", "note", "files"].map((id) => document.getElementById(id)!);

async function answer(files: FileList): Promise<void> {
  const engine = await load(files);
  const reply = engine.session().generate({ text: "Once upon a time" }, { maxTokens: 20, temperature: 0 });
  for await (const { text } of reply) output!.append(text);
  note!.textContent = `Done: ${engine.model.name}`;
  engine.dispose();
}

input!.addEventListener("change", () => {
  answer((input as HTMLInputElement).files!).catch((error: unknown) => {
    if (!(error instanceof EngineError)) throw error;
    note!.textContent = `${error.code}: ${error.message}`;
  });
});
note!.textContent = "Pick the files of a model.";

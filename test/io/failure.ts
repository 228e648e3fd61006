import { expect } from "playwright/test";

/** `work` rejects with an error of class `kind` whose message says all of `parts`. */
export async function expectError(
  work: Promise<unknown>,
  kind: abstract new (...args: never[]) => Error,
  ...parts: string[]
): Promise<void> {
  const error: unknown = await work.then(
    () => "no error",
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(kind);
  for (const part of parts) expect(String(error)).toContain(part);
}

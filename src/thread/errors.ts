// Errors as messages carry them: a copy that a browser makes by itself loses class and code.
import { DeviceLostError, EngineError, InputError, ModelError, UnsupportedError, WorkerLostError } from "../errors.ts";
import type { PackedError } from "./protocol.ts";

/** Causes of causes deeper than this are left out. */
const DEEPEST = 8;

/** `reason`: what the signal of the call was aborted with, which the page has itself. */
export function packError(error: unknown, reason: unknown = null, depth = 0): PackedError {
  if (error === reason && reason !== null) return { is: "reason" };
  if (error instanceof DOMException) return { is: "exception", name: error.name, message: error.message };
  if (!(error instanceof Error)) return { is: "value", value: copied(error) };
  const { name, message, stack, cause } = error;
  return {
    is: "error",
    name,
    message,
    stack,
    ...(error instanceof EngineError && { code: error.code }),
    ...(error instanceof ModelError && { choices: error.choices }),
    ...(cause !== undefined && depth < DEEPEST && { cause: packError(cause, reason, depth + 1) }),
  };
}

/** The value if it can be sent, else its text. */
function copied(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return String(value);
  }
}

/** `reason` gives what the page aborted the call with. */
export function unpackError(packed: PackedError, reason: () => unknown = () => null): unknown {
  switch (packed.is) {
    case "reason":
      return reason();
    case "value":
      return packed.value;
    case "exception":
      return new DOMException(packed.message, packed.name);
    case "error": {
      const { stack, cause } = packed;
      const error = made(packed, cause && { cause: unpackError(cause, reason) });
      if (stack !== undefined) error.stack = stack; // says more than where it was unpacked
      return error;
    }
  }
}

/** By name. Each has codes of its own: what comes from an instance fits. */
const CLASSES: Readonly<Record<string, new (message: string, details: never) => Error>> = {
  InputError,
  ModelError,
  UnsupportedError,
  DeviceLostError,
  WorkerLostError,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
};

function made(
  { name, message, code, choices }: Extract<PackedError, { is: "error" }>,
  cause: { cause: unknown } | undefined,
): Error {
  const Class = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
  if (Class) return new Class(message, { ...cause, ...(code && { code }), ...(choices && { choices }) } as never);
  return Object.assign(new Error(message, cause), { name });
}

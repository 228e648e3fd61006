// What a Split or a Replace of tokenizer.json looks for.

import { type Fields, fail, fieldsOf } from "./fields.ts";
import { regexOf, regexOfText } from "./regex/regex.ts";

/** The field `pattern`, for matching again and again. Errors: ModelError, UnsupportedError. */
export function patternOf(fields: Fields): RegExp {
  const { Regex: regex, String: text } = fieldsOf(fields["pattern"], "pattern");
  if (typeof regex === "string" && regex !== "") return regexOf(regex);
  if (typeof text === "string" && text !== "") return regexOfText(text);
  return fail("a pattern is neither a Regex nor a String");
}

// Notices that a reply goes round in circles: its last tokens repeat what came just before them, again and again.

/** Tokens of the longest circle that is noticed: a paragraph. */
const LONGEST = 128;
/** So often it must have come again, and at least so many tokens of it. */
const TIMES = 3;
const LEAST_TOKENS = 60;

/** Takes the tokens of a reply one by one; true from the one that closes a loop. */
export function loopWatch(): (token: number) => boolean {
  const tokens: number[] = [];
  /** By period: how many of the last tokens equal the one a period before. */
  const runs = new Uint32Array(LONGEST + 1);
  return (token) => {
    let found = false;
    for (let period = 1; period <= Math.min(LONGEST, tokens.length); period++) {
      runs[period] = tokens[tokens.length - period] === token ? runs[period]! + 1 : 0;
      found ||= runs[period]! >= Math.max(TIMES * period, LEAST_TOKENS);
    }
    tokens.push(token);
    return found;
  };
}

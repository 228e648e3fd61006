// What a reply read of its prompt: public types.

/**
 * What a reply read of its prompt, where each token chooses that (ShadowKV). The prompt's beginning is told in parts: part i is
 * its tokens i·partTokens … (i + 1)·partTokens − 1. What follows the last part was read by every token.
 */
export interface Attended {
  /** Tokens of a part. */
  partTokens: number;
  /** [parts] how often it was read because it was chosen: in so many layers, by so many KV heads, for so many tokens together. */
  chosen: Uint32Array;
  /** [parts] how often it was read because it always is. */
  kept: Uint32Array;
  /** How often a part would have been read if always and by all: tokens · layers · KV heads. */
  most: number;
  /** Tokens that chose. The reply's first is not among them: it saw all. One more than it needed may be, where it ended by itself. */
  tokens: number;
}

// Pages whose keys have only some channels: which ones stands in the page, four to a word, ascending.

/** Channels that stay, of heads of this width; a multiple of 4. */
export type KeyWidth = (width: number) => number;

export const CHANNELS_OF_WORD = 4;

/** WGSL for a page's reader: `key_query`, where the channels of a page stand at its word `at`. */
export const queryOfChannels = (at: number): string => `fn key_query(at: u32, page: u32, e4: u32) -> vec4f {
  let c = (vec4u(kv[page + ${at}u + e4]) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u);
  return vec4f(q[at + c.x / 4u][c.x % 4u], q[at + c.y / 4u][c.y % 4u], q[at + c.z / 4u][c.z % 4u], q[at + c.w / 4u][c.w % 4u]);
}`;

// lib/settings.wgsl — how one row of logits becomes a token. model/sample/sampler.ts fills it by the names of its members.

const NONE = 0xffffffffu;

struct Settings {
  sequence: u32,           // its number: which counts, biases and token are its own
  temperature: f32,        // 0: greedy
  topK: u32,               // 0: off
  topP: f32,               // 1: off
  minP: f32,               // 0: off
  repetitionPenalty: f32,  // 1: off
  frequencyPenalty: f32,   // 0: off
  presencePenalty: f32,    // 0: off
  seed: u32,
  counter: u32,            // tokens it has sampled before: fresh noise for each
  biasCount: u32,          // entries of bias in use, at most 64
  forced: u32,             // not NONE: this token is scored, nothing is drawn
  masked: u32,             // 1: only tokens whose bit of mask is set may be drawn
  top: u32,                // how many of the likeliest tokens are reported, at most 20
}

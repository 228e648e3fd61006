// lib/settings.wgsl — how one row of logits becomes a token. model/sampler.ts fills it by the names of its members.

const NONE = 0xffffffffu;

struct Settings {
  slot: u32,               // row of counts, bias and tokens that belongs to the sequence
  temperature: f32,        // 0: greedy
  topK: u32,               // 0: off
  topP: f32,               // 1: off
  minP: f32,               // 0: off
  repetitionPenalty: f32,  // 1: off
  frequencyPenalty: f32,   // 0: off
  presencePenalty: f32,    // 0: off
  seed: u32,
  counter: u32,            // step of the sequence: fresh noise for every token
  biasCount: u32,          // entries of bias in use, at most 64
  forced: u32,             // not NONE: this token is scored, nothing is drawn
}

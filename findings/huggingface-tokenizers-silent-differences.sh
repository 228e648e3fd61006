#!/usr/bin/env bash
# @huggingface/tokenizers 0.2.0 (npm), seen with Node 20.20.2: parts of a tokenizer.json that it reads otherwise than the
# Rust library (PyPI tokenizers 0.23.3), without a message.
#
# Each case below is valid; "want" is what the Rust library makes of it. A tokenizer with such a part gives a model other
# token ids than the ones it was trained with.
#
# Needs: node, npm, network. Exit status 0: as described here. Not 0: the behaviour has changed (or npm failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" @huggingface/tokenizers@0.2.0

cat >seen.mjs <<'JS'
import { Tokenizer } from "@huggingface/tokenizers";

const model = { type: "WordLevel", vocab: { "<unk>": 0, stones: 1 }, unk_token: "<unk>" };
const parts = { model, normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };
const tokenizer = (part) => new Tokenizer({ ...parts, ...part }, {});
const normalized = (normalizer, text) => tokenizer({ normalizer }).normalizer(text);
const cut = (pre_tokenizer, text) => tokenizer({ pre_tokenizer }).pre_tokenizer(text);
const split = (Regex, behavior) => ({ type: "Split", pattern: { Regex }, behavior, invert: false });
const bert = { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: false, lowercase: false };
const stone = { id: 2, content: "stone", single_word: true, lstrip: false, rstrip: false, normalized: false, special: false };

const cases = [
  ["Lowercase", normalized({ type: "Lowercase" }, "ΟΔΟΣ"), "οδοσ"],
  ["Replace by $&", normalized({ type: "Replace", pattern: { String: "a" }, content: "$&$&" }, "ab"), "$&$&b"],
  ["BertNormalizer", normalized(bert, "\u{20bb7}a"), " \u{20bb7} a"],
  ["Split, possessive", cut(split("a++ab|b", "Isolated"), "aaab"), ["aaa", "b"]],
  ["Split, MergedWithPrevious", cut(split("-", "MergedWithPrevious"), "a-b"), ["a-", "b"]],
  ["Digits", cut({ type: "Digits", individual_digits: false }, "a½b"), ["a", "½", "b"]],
  ["Punctuation", cut({ type: "Punctuation", behavior: "Isolated" }, "a!!b"), ["a", "!", "!", "b"]],
  ["Whitespace", cut({ type: "Whitespace" }, "naïve"), ["naïve"]],
  ["Metaspace, split", cut({ type: "Metaspace", replacement: "▁", prepend_scheme: "never", split: true }, "a b"), ["a", "▁b"]],
  ["single_word", tokenizer({ added_tokens: [stone] }).encode("stones").ids, [1]],
];
for (const [what, got, right] of cases) console.log(`${what}: ${JSON.stringify(got)}, want ${JSON.stringify(right)}`);
JS

node seen.mjs >seen.txt
cat seen.txt
diff - seen.txt <<'SEEN'
Lowercase: "οδος", want "οδοσ"
Replace by $&: "aab", want "$&$&b"
BertNormalizer: "𠮷a", want " 𠮷 a"
Split, possessive: ["aaab"], want ["aaa","b"]
Split, MergedWithPrevious: ["a","-","b"], want ["a-","b"]
Digits: ["a½b"], want ["a","½","b"]
Punctuation: ["a","!!","b"], want ["a","!","!","b"]
Whitespace: ["na","ï","ve"], want ["naïve"]
Metaspace, split: ["a▁b"], want ["a","▁b"]
single_word: [2,null], want [1]
SEEN

# ShadowKV on SmolLM2-135M after 4,096 tokens, in float64, independently of the engine: from the paper and docs/shadowkv.md.
#
#   python test/kv/shadow/golden.py SmolLM2-135M-Instruct.Q4_1.gguf TEXT... > new.json
#   python test/kv/shadow/golden.py SmolLM2-135M-Instruct.Q4_1.gguf test/kv/shadow/golden.json > new.json    (its prompt again)
#
# Needs torch, gguf, transformers (for the tokenizer). Keys are factored by a singular value decomposition; factors,
# landmarks and values are not rounded.
import json
import math
import os
import sys

import torch
from gguf import GGUFReader, dequantize
from transformers import AutoTokenizer

PROMPT, REPLY = 4096, 64
CHUNK, OUTLIERS, SELECTED, LOCAL, RANK = 8, 24, 64, 32, 48
BASE = 3584  # tokens whose keys say which directions are kept: of 127 pages, 7 quarters of 64

path, *texts = sys.argv[1:]
reader = GGUFReader(path)
field = lambda name: reader.fields[f"llama.{name}"].contents()
L, D, H, G = field("block_count"), field("embedding_length"), field("attention.head_count"), field("attention.head_count_kv")
E, EPS, THETA = D // H, field("attention.layer_norm_rms_epsilon"), field("rope.freq_base")
weights = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()).double() for t in reader.tensors}
weight = lambda layer, name: weights[f"blk.{layer}.{name}.weight"]

if texts[0].endswith(".json"):
    prompt = json.load(open(texts[0]))["prompt"]
else:
    tokenizer = AutoTokenizer.from_pretrained(os.path.dirname(path) or ".", gguf_file=os.path.basename(path))
    prompt = tokenizer("\n".join(open(text, encoding="utf8").read() for text in texts)).input_ids[:PROMPT]
assert len(prompt) == PROMPT

frequencies = THETA ** (-torch.arange(0, E, 2).double() / E)


def rotated(x, positions, sign=1):
    """x [T, heads, E]: channels 2i and 2i + 1 turn together, as they lie in a GGUF."""
    angle = sign * positions[:, None, None].double() * frequencies
    cos, sin = angle.cos(), angle.sin()
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def norm(x, gamma):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS) * gamma


def heads(layer, x, positions):
    h = norm(x, weight(layer, "attn_norm"))
    q = (h @ weight(layer, "attn_q").T).view(-1, H, E)
    k = (h @ weight(layer, "attn_k").T).view(-1, G, E)
    v = (h @ weight(layer, "attn_v").T).view(-1, G, E)
    return rotated(q, positions), rotated(k, positions), v


def rest(layer, x, attended):
    x = x + attended.reshape(-1, D) @ weight(layer, "attn_output").T
    h = norm(x, weight(layer, "ffn_norm"))
    up = torch.nn.functional.silu(h @ weight(layer, "ffn_gate").T) * (h @ weight(layer, "ffn_up").T)
    return x + up @ weight(layer, "ffn_down").T


def logits(x):
    return norm(x, weights["output_norm.weight"]) @ weights["token_embd.weight"].T


def attend(q, k, v, causal):
    """q [T, H, E], k and v [S, G, E] -> [T, H, E]"""
    out = torch.empty_like(q)
    for h in range(H):
        scores = q[:, h] @ k[:, h // (H // G)].T / math.sqrt(E)
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf)
        out[:, h] = scores.softmax(-1) @ v[:, h // (H // G)]
    return out


class Shadow:
    """What a layer keeps of the prompt."""

    def __init__(self, q, k, v):
        positions = torch.arange(PROMPT)
        given = (PROMPT - LOCAL) // 32 * 32
        self.local, self.k, self.v = given, k, v
        flat = rotated(k, positions, -1).reshape(PROMPT, G * E)
        mean = flat[:BASE].mean(0)
        directions = torch.linalg.svd(flat[:BASE] - mean, full_matrices=False).Vh[:RANK]
        low = (flat - mean) @ directions.T @ directions + mean
        self.low = rotated(low.view(PROMPT, G, E), positions)
        chunks = k[:given].view(-1, CHUNK, G, E)
        self.landmarks = chunks.mean(1)
        cosine = torch.nn.functional.cosine_similarity(chunks, self.landmarks[:, None], dim=-1).amin(1)
        cosine[0] = -2  # the first chunk always stays
        self.outliers = cosine.argsort(dim=0, stable=True)[:OUTLIERS].T.sort(-1).values
        self.resident = [self.choose(q, g) for g in range(G)]
        self.exact = [set(chunks) for chunks in self.resident]

    def choose(self, q, g):
        """q [H, E]: the chunks to which some query of KV head g gives most of its weight."""
        z = q[g * (H // G) : (g + 1) * (H // G)] @ self.landmarks[:, g].T / math.sqrt(E)
        z[:, self.outliers[g]] = -math.inf
        score = (z - z.logsumexp(-1, keepdim=True)).amax(0)
        return sorted(score.argsort(dim=-1, descending=True, stable=True)[:SELECTED].tolist())

    def keys(self, q, g):
        chosen = self.choose(q, g)
        self.exact[g] &= set(chosen)
        self.resident[g] = chosen
        spans = lambda chunks: torch.cat([torch.arange(c * CHUNK, (c + 1) * CHUNK) for c in chunks]) if chunks else torch.arange(0)
        as_it_was = spans(self.outliers[g].tolist() + sorted(self.exact[g]))
        brought = spans([c for c in chosen if c not in self.exact[g]])
        tail = torch.arange(self.local, PROMPT)
        keys = torch.cat([self.k[as_it_was, g], self.low[brought, g], self.k[tail, g]])
        return keys, self.v[torch.cat([as_it_was, brought, tail]), g]


def sets(layers):
    return [[chunks for chunks in layer.resident] for layer in layers]


with torch.no_grad():
    x = weights["token_embd.weight"][prompt]
    positions = torch.arange(PROMPT)
    layers = []
    for layer in range(L):
        q, k, v = heads(layer, x, positions)
        x = rest(layer, x, attend(q, k, v, True))
        layers.append(Shadow(q[-1], k, v))
        print(f"layer {layer}", file=sys.stderr)
    first = sets(layers)
    reply, gaps = [], []
    own = [([], []) for _ in range(L)]
    out = logits(x[-1:])[0]
    for step in range(REPLY):
        best = out.topk(2)
        reply.append(int(best.indices[0]))
        gaps.append(round(float(best.values[0] - best.values[1]), 4))
        if step == REPLY - 1:
            break
        x = weights["token_embd.weight"][reply[-1:]]
        for layer in range(L):
            q, k, v = heads(layer, x, torch.tensor([PROMPT + step]))
            own[layer][0].append(k)
            own[layer][1].append(v)
            attended = torch.empty_like(q)
            for g in range(G):
                keys, values = layers[layer].keys(q[0], g)
                keys = torch.cat([keys, torch.cat(own[layer][0])[:, g]])
                values = torch.cat([values, torch.cat(own[layer][1])[:, g]])
                for h in range(g * (H // G), (g + 1) * (H // G)):
                    attended[0, h] = (q[0, h] @ keys.T / math.sqrt(E)).softmax(-1) @ values
            x = rest(layer, x, attended)
        out = logits(x)[0]
    last = sets(layers)
print(json.dumps({"prompt": prompt, "reply": reply, "gaps": gaps, "first": first, "last": last}, separators=(",", ":")))

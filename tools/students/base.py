"""A Llama checkpoint in PyTorch: its weights, its hash as the engine has it, its layers, teacher or student.

Only what SwiftKV needs: layers below K run once, then the later ones as the ordinary model or as the student.
"""
import hashlib
import json
import pathlib

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional

HASHED_BYTES = 4096  # as src/model/weights/loader.ts


class Base:
    """`weights`: name -> float32 tensor, under the names and in the order of rows that Hugging Face has."""

    def __init__(self, path):
        path = pathlib.Path(path)
        self.weights, prints, config, self.name = read_gguf(path) if path.suffix == ".gguf" else read_folder(path)
        self.D, self.F, self.L, self.H, self.G, self.E, self.V, self.epsilon, self.theta = config
        self.hash = hashlib.sha256("\n".join(sorted(prints)).encode()).hexdigest()
        folder = path.parent if path.suffix == ".gguf" else path
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.frozen = None

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    # ---- the forward pass ----

    def place(self, dtype):
        """Matrices in `dtype`; norms stay in float32."""
        self.dtype = dtype
        self.frozen = {n: w.to(dtype) if w.dim() == 2 else w for n, w in self.weights.items()}
        return self

    def w(self, layer, name):
        return self.frozen[f"model.layers.{layer}.{name}.weight"]

    def norm(self, x, weight=None):
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon)
        return x if weight is None else x * weight

    def linear(self, x, weight):
        """In the placed type. The residual stream, norms and rotations are float32."""
        return functional.linear(x.to(self.dtype), weight.to(self.dtype))

    def rotation(self, T):
        angle = torch.arange(T)[:, None] * self.theta ** (-torch.arange(0, self.E, 2) / self.E)
        return angle.cos().float(), angle.sin().float()

    def rotate(self, x, rotation):
        a, b = x.chunk(2, -1)
        cos, sin = rotation
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def split(self, x):
        return x.unflatten(-1, (-1, self.E)).transpose(1, 2)

    def normed(self, x, layer):
        return self.norm(x, self.w(layer, "input_layernorm")).to(self.dtype)

    def keys_values(self, x, layer):
        """[windows, T, 2·G·E] before rotation: what a student's map has to give."""
        h = self.normed(x, layer)
        return torch.cat([self.linear(h, self.w(layer, f"self_attn.{kind}_proj")) for kind in "kv"], -1).float()

    def layer(self, x, layer, rotation, keys_values=None, queries=None, cache=None):
        """`keys_values`, `queries`: a student's own. Else those of the ordinary model. `cache`: x is one token after those in it."""
        if keys_values is None:
            keys_values = self.keys_values(x, layer)
        h = self.normed(x, layer)
        q = self.linear(h, self.w(layer, "self_attn.q_proj")) if queries is None else queries(h)
        k, v = keys_values.chunk(2, -1)
        q, k, v = self.rotate(self.split(q), rotation), self.rotate(self.split(k), rotation), self.split(v)
        q, k, v = (part.to(self.dtype) for part in (q, k, v))
        if cache is not None:
            k, v = cache.add(k, v)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=cache is None, enable_gqa=True)
        x = x + self.linear(out.transpose(1, 2).flatten(2), self.w(layer, "self_attn.o_proj"))
        h = self.norm(x, self.w(layer, "post_attention_layernorm")).to(self.dtype)
        up = functional.silu(self.linear(h, self.w(layer, "mlp.gate_proj"))) * self.linear(h, self.w(layer, "mlp.up_proj"))
        return x + self.linear(up, self.w(layer, "mlp.down_proj"))

    def embed(self, ids):
        return self.weights["model.embed_tokens.weight"][ids]

    def run(self, x, layers, rotation):
        for layer in layers:
            x = self.layer(x, layer, rotation)
        return x

    def final(self, x):
        return self.norm(x, self.frozen["model.norm.weight"]).to(self.dtype)

    def output(self):
        return self.frozen["model.embed_tokens.weight" if "lm_head.weight" not in self.frozen else "lm_head.weight"]


# ---- reading ----


def digest(raw):
    return hashlib.sha256(raw[:HASHED_BYTES]).hexdigest()


def read_folder(path):
    config = json.loads((path / "config.json").read_text())
    raw = (path / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    types = {"F16": np.float16, "F32": np.float32}
    weights, prints = {}, []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        bytes_ = raw[8 + size + begin : 8 + size + end]
        array = np.frombuffer(bytes_, types[entry["dtype"]]).astype(np.float32).reshape(entry["shape"])
        weights[name] = torch.from_numpy(array.copy())
        if name.startswith("model."):
            prints.append(f"{name} {entry['dtype']} [{','.join(map(str, entry['shape']))}] {digest(bytes_)}")
    D, H = config["hidden_size"], config["num_attention_heads"]
    shape = (D, config["intermediate_size"], config["num_hidden_layers"], H, config["num_key_value_heads"], config.get("head_dim", D // H))
    return weights, prints, (*shape, config["vocab_size"], config["rms_norm_eps"], config["rope_theta"]), path.name


GGUF_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def hub_name(name):
    if name.startswith("blk."):
        _, layer, kind, suffix = name.split(".")
        return f"model.layers.{layer}.{GGUF_NAMES[kind]}.{suffix}"
    return {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}[name]


def read_gguf(path):
    """Dequantised. A Llama GGUF has the rows of q and k in the order of interleaved rotation: undone here."""
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(path)
    field = lambda key: reader.fields[f"llama.{key}"].contents()
    D, L, H, G = (field(k) for k in ("embedding_length", "block_count", "attention.head_count", "attention.head_count_kv"))
    weights, prints = {}, []
    for tensor in reader.tensors:
        name, shape = hub_name(tensor.name), [int(n) for n in reversed(tensor.shape)]
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape))
        for kind, heads in (("q_proj", H), ("k_proj", G)):
            if kind in name:
                values = values.reshape(heads, shape[0] // heads // 2, 2, shape[1]).transpose(1, 2).reshape(shape)
        weights[name] = values.contiguous()
        if name.startswith("model."):
            prints.append(f"{name} {tensor.tensor_type.name} [{','.join(map(str, shape))}] {digest(tensor.data.tobytes())}")
    V = weights["model.embed_tokens.weight"].shape[0]
    epsilon, theta = field("attention.layer_norm_rms_epsilon"), field("rope.freq_base")
    return weights, prints, (D, field("feed_forward_length"), L, H, G, D // H, V, epsilon, theta), path.stem

"""Writes distil.json: gradients and AdamW steps of distilling a SwiftKV student, by PyTorch in float64.

    python -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.23.0 numpy==2.4.6
    venv/bin/python test/golden/distil.py

What the numbers are: README.md, "Distillation". The ordinary model is checked against transformers before it is used.
"""
import json
import math
import pathlib

import torch
from torch.nn import functional

import make

STEPS = 4
WARM_UP = 2
RATE = 1e-2
TEMPERATURE = 2.0
HIDDEN_WEIGHT = 0.5
BETAS, EPSILON, CLIP = (0.9, 0.999), 1e-8, 1.0

LLAMA = make.config("llama", D=32, F=48, H=4, G=2, V=61, L=4)
QWEN3 = make.config("qwen3", D=32, F=48, H=4, G=2, V=53, L=5, head_dim=16, rms_norm_eps=1e-6, tie_word_embeddings=True, attention_bias=False)

# name, config, K, G, windows × tokens, masked: only the second half of each window counts, every how many entries are kept
CASES = [
    ("llama", LLAMA, 2, 1, (2, 12), False, 1),
    ("qwen3-g2", QWEN3, 1, 2, (2, 10), True, 7),
]


class Toy:
    """Ordinary layers up to K, then teacher or student. All in float64."""

    def __init__(self, config, seed, K, group):
        self.c, self.seed, self.K, self.group = config, seed, K, group
        self.D, self.L, self.H, self.G = (config[f] for f in ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"))
        self.E = config.get("head_dim", self.D // self.H)
        self.head_norms = config["model_type"] == "qwen3"
        self.trained = self.start()

    def weight(self, name, *shape):
        return make.tensor(self.seed, name, shape, "F32")

    def start(self):
        """The trainable tensors in the order in which they are listed everywhere."""
        D, E = self.D, self.E
        tensors = {"model.norm_swiftkv.weight": self.weight("model.norm_swiftkv.weight", D)}
        for layer in range(self.K, self.L):
            owner = (layer - self.K) % self.group == 0
            for kind, heads in (("q", self.H), ("k", self.G), ("v", self.G)) if owner else (("q", self.H),):
                name = f"model.layers.{layer}.self_attn.{kind}_proj_swiftkv"
                tensors[f"{name}.weight"] = self.weight(f"{name}.weight", heads * E, D)
                if kind != "q":
                    tensors[f"{name}.bias"] = self.weight(f"{name}.bias", heads * E)
        return {name: tensor.requires_grad_(True) for name, tensor in tensors.items()}

    def norm(self, x, weight):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.c["rms_norm_eps"]) * weight

    def rotate(self, x):
        """[windows, heads, T, E]"""
        half = self.E // 2
        theta = self.c.get("rope_theta", 10000.0)
        angle = torch.arange(x.shape[-2])[:, None] * theta ** (-torch.arange(0, self.E, 2) / self.E)
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)

    def split(self, x):
        return x.unflatten(-1, (-1, self.E)).transpose(1, 2)

    def head_norm(self, kind, layers, x):
        """Of k, of a group: the mean of its layers' weights."""
        if not self.head_norms:
            return x
        names = [f"model.layers.{layer}.self_attn.{kind}_norm.weight" for layer in layers]
        return self.norm(x, torch.stack([self.weight(name, self.E) for name in names]).mean(0))

    def keys_values(self, normed, layers, suffix):
        """Of the first of `layers`, rotated."""
        at = f"model.layers.{layers[0]}.self_attn"
        parts = []
        for kind in "kv":
            if suffix:
                own = self.trained
                part = normed @ own[f"{at}.{kind}_proj{suffix}.weight"].T + own[f"{at}.{kind}_proj{suffix}.bias"]
            else:
                part = normed @ self.weight(f"{at}.{kind}_proj.weight", self.G * self.E, self.D).T
            parts.append(self.split(part))
        return self.rotate(self.head_norm("k", layers, parts[0])), parts[1]

    def layer(self, x, layer, keys, values, suffix):
        at = f"model.layers.{layer}"
        D, H, E, F = self.D, self.H, self.E, self.c["intermediate_size"]
        name = f"{at}.self_attn.q_proj{suffix}.weight"
        query = self.norm(x, self.weight(f"{at}.input_layernorm.weight", D)) @ (self.trained[name] if suffix else self.weight(name, H * E, D)).T
        query = self.rotate(self.head_norm("q", [layer], self.split(query)))
        out = functional.scaled_dot_product_attention(query, keys, values, is_causal=True, enable_gqa=True)
        x = x + out.transpose(1, 2).flatten(2) @ self.weight(f"{at}.self_attn.o_proj.weight", D, H * E).T
        h = self.norm(x, self.weight(f"{at}.post_attention_layernorm.weight", D))
        up = functional.silu(h @ self.weight(f"{at}.mlp.gate_proj.weight", F, D).T) * (h @ self.weight(f"{at}.mlp.up_proj.weight", F, D).T)
        return x + up @ self.weight(f"{at}.mlp.down_proj.weight", D, F).T

    def forward(self, ids, student):
        """(logits, what enters the last layer)"""
        embedding = self.weight("model.embed_tokens.weight", self.c["vocab_size"], self.D)
        x = embedding[ids]
        for layer in range(self.L):
            last = x
            if student and layer >= self.K:
                if (layer - self.K) % self.group == 0:
                    if layer == self.K:
                        shared = self.norm(x, self.trained["model.norm_swiftkv.weight"])
                    made = self.keys_values(shared, range(layer, layer + self.group), "_swiftkv")
                x = self.layer(x, layer, *made, "_swiftkv")
            else:
                normed = self.norm(x, self.weight(f"model.layers.{layer}.input_layernorm.weight", self.D))
                x = self.layer(x, layer, *self.keys_values(normed, [layer], ""), "")
        x = self.norm(x, self.weight("model.norm.weight", self.D))
        tied = self.c["tie_word_embeddings"]
        return x @ (embedding if tied else self.weight("lm_head.weight", *embedding.shape)).T, last

    def loss(self, ids, mask):
        """(total, KL part, hidden part). mask: [windows, T − 1], 1 where the position's prediction counts."""
        with torch.no_grad():
            want, want_hidden = self.forward(ids, student=False)
        got, got_hidden = self.forward(ids, student=True)
        p = torch.log_softmax(want[:, :-1] / TEMPERATURE, -1)
        q = torch.log_softmax(got[:, :-1] / TEMPERATURE, -1)
        kl = ((p.exp() * (p - q)).sum(-1) * mask).sum() / mask.sum() * TEMPERATURE**2
        hidden = ((got_hidden - want_hidden)[:, :-1].square().mean(-1) * mask).sum() / mask.sum()
        return kl + HIDDEN_WEIGHT * hidden, kl, hidden


def check(toy, ids):
    """The teacher is the model of transformers."""
    model = make.build(toy.c)
    make.fill(model, toy.seed, "F32", torch.float64)
    for window in ids:
        gap = (make.logits(model, window.tolist()) - toy.forward(window[None], student=False)[0][0]).abs().max().item()
        assert gap < 1e-10, gap


def rate(step):
    """Of step 0, 1, …: linear up to RATE over WARM_UP steps, then linear to 0 at STEPS."""
    return RATE * (step + 1) / WARM_UP if step < WARM_UP else RATE * (STEPS - step) / (STEPS - WARM_UP)


def short(tensor, every=1):
    return [float(f"{value:.8g}") for value in tensor.detach().flatten()[::every].tolist()]


def case(name, config, K, group, size, masked, every):
    seed, (windows, T) = 1, size
    toy = Toy(config, seed, K, group)
    noise = make.stream(seed, "windows", windows * T)
    V = config["vocab_size"]
    ids = torch.tensor([math.floor((u + 1) / 2 * V) for u in noise]).reshape(windows, T)
    check(toy, ids)
    mask = torch.ones(windows, T - 1)
    if masked:
        mask[:, : T // 2] = 0
    tensors = toy.trained
    optimiser = torch.optim.AdamW(tensors.values(), betas=BETAS, eps=EPSILON, weight_decay=0)
    biases = {name: short(tensor) for name, tensor in tensors.items() if name.endswith("bias")}
    first, steps = None, []
    for step in range(STEPS):
        optimiser.zero_grad()
        total, kl, hidden = toy.loss(ids, mask)
        total.backward()
        gradients = {name: short(tensor.grad, every) for name, tensor in tensors.items()}
        norm = torch.nn.utils.clip_grad_norm_(tensors.values(), CLIP).item()
        optimiser.param_groups[0]["lr"] = rate(step)
        optimiser.step()
        steps.append({"loss": total.item(), "kl": kl.item(), "hidden": hidden.item(), "gradientNorm": norm, "rate": rate(step)})
        first = first or {"gradients": gradients, "updated": {name: short(tensor, every) for name, tensor in tensors.items()}}
    print(name, [f"{s['loss']:.4f} |g| {s['gradientNorm']:.3f}" for s in steps])
    return {
        "name": name, "seed": seed, "config": config, "layers": K, "group": group, "windows": ids.tolist(),
        "mask": mask.int().tolist(), "every": every, "biases": biases, "steps": steps, **first,
        "final": {name: short(tensor, 7) for name, tensor in tensors.items()},
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    with make.wide():
        cases = [case(*each) for each in CASES]
    head = {
        "version": 1, "made": f"torch {torch.__version__} cpu float64", "temperature": TEMPERATURE, "hiddenWeight": HIDDEN_WEIGHT,
        "betas": BETAS, "epsilon": EPSILON, "weightDecay": 0, "clip": CLIP, "finalEvery": 7,
    }  # fmt: skip
    parts = []
    for each in cases:
        fields = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in each.items())
        parts.append(f" {{\n{fields}\n }}")
    text = json.dumps(head)[:-1] + ', "cases": [\n' + ",\n".join(parts) + "\n]}\n"
    pathlib.Path(__file__).with_name("distil.json").write_text(text)
    print(len(text), "bytes")

"""Writes calibration.json: least-squares students of the golden checkpoints, in float64 with numpy and nothing else.

    python -m venv venv && venv/bin/pip install numpy==2.4.6 && venv/bin/python test/golden/calibrate.py

The forward pass, the sums and the solve are written here from docs/recovery.md; only the weights' generator is that of
checkpoint.ts. A fixture of a variant has every STEP-th entry of the maps, the R² of each layer, λ, and the mean
KL(dense ‖ student) over a text that the fit never saw.
"""
import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
STEP = 7
WINDOW = 64
TOKENS = 1200
HELD_OUT = 60
RIDGE = 1e-4
CASES = [  # variant, K, G, tokens; 9,000 are more than the engine sums up in f32
    ("llama-gqa-tied", 1, 1, TOKENS),
    ("llama-bias", 0, 1, TOKENS),
    ("mistral", 1, 1, TOKENS),
    ("qwen2", 1, 2, TOKENS),
    ("qwen3", 1, 1, TOKENS),
    ("qwen3", 1, 2, TOKENS),
    ("llama", 1, 1, 9000),
]


def stream(name, count):
    x = 0x811C9DC5
    for byte in name.encode():
        x = ((x ^ byte) * 0x01000193) & 0xFFFFFFFF
    values = np.empty(count)
    for i in range(count):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = 2 * x / 2**32 - 1
    return values


def tensor(seed, name, *shape):
    noise = stream(f"{seed}/{name}", int(np.prod(shape)))
    if "norm" in name:
        values = 1 + 0.25 * noise
    elif name.endswith(".bias"):
        values = 0.5 * noise
    else:
        values = 3 / np.sqrt(shape[-1]) * noise
    return values.astype(np.float32).astype(np.float64).reshape(shape)


def text(vocabulary, count):
    """Token t of the text: from 3 up, by the same generator. calibration.test.ts makes the same."""
    return [3 + int((value + 1) / 2 * (vocabulary - 3)) for value in stream("text", count)]


class Model:
    def __init__(self, variant):
        golden = json.loads((HERE / f"{variant}.json").read_text())
        assert golden["dtype"] == "F32"
        self.c = c = golden["config"]
        self.seed = golden["seed"]
        self.known = {}
        self.D, self.L, self.V = c["hidden_size"], c["num_hidden_layers"], c["vocab_size"]
        self.H, self.G = c["num_attention_heads"], c["num_key_value_heads"]
        self.E = c.get("head_dim", self.D // self.H)
        self.eps = c["rms_norm_eps"]
        self.qwen3 = c["model_type"] == "qwen3"
        self.bias = c.get("attention_bias", False) or c["model_type"] == "qwen2"
        theta = c.get("rope_theta") or c["rope_parameters"]["rope_theta"]
        self.frequencies = theta ** (-np.arange(0, self.E, 2) / self.E)
        self.window = c.get("sliding_window") if c["model_type"] == "mistral" else None

    def w(self, name, *shape):
        if name not in self.known:
            self.known[name] = tensor(self.seed, name, *shape)
        return self.known[name]

    def linear(self, x, name, out, biased):
        y = x @ self.w(f"{name}.weight", out, x.shape[-1]).T
        return y + self.w(f"{name}.bias", out) if biased else y

    def norm(self, x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * weight

    def rotate(self, heads):
        """[T, heads, E] at positions 0, 1, …"""
        half = self.E // 2
        angle = np.arange(heads.shape[0])[:, None, None] * self.frequencies
        a, b = heads[..., :half], heads[..., half:]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)

    def keys_values(self, x, layer):
        """Before head norm and RoPE: [T, 2·G·E]"""
        at = f"model.layers.{layer}"
        h = self.norm(x, self.w(f"{at}.input_layernorm.weight", self.D))
        width = self.G * self.E
        k = self.linear(h, f"{at}.self_attn.k_proj", width, self.bias)
        v = self.linear(h, f"{at}.self_attn.v_proj", width, self.bias)
        return np.concatenate([k, v], -1)

    def layer(self, x, layer, keys_values, key_norm_of):
        at = f"model.layers.{layer}"
        T, H, G, E = len(x), self.H, self.G, self.E
        h = self.norm(x, self.w(f"{at}.input_layernorm.weight", self.D))
        q = self.linear(h, f"{at}.self_attn.q_proj", H * E, self.bias).reshape(T, H, E)
        k, v = (part.reshape(T, G, E) for part in np.split(keys_values, 2, -1))
        if self.qwen3:
            q = self.norm(q, self.w(f"{at}.self_attn.q_norm.weight", E))
            k = self.norm(k, key_norm_of)
        q, k = self.rotate(q), self.rotate(k)
        k, v = (np.repeat(part, H // G, 1) for part in (k, v))
        scores = np.einsum("the,she->hts", q, k) / np.sqrt(E)
        back = np.arange(T)[:, None] - np.arange(T)[None]
        hidden = (back < 0) | (back >= (self.window or T))
        scores[:, hidden] = -np.inf
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        attended = np.einsum("hts,she->the", p, v).reshape(T, H * E)
        x = x + self.linear(attended, f"{at}.self_attn.o_proj", self.D, self.c.get("attention_bias", False))
        h = self.norm(x, self.w(f"{at}.post_attention_layernorm.weight", self.D))
        F, biased = self.c["intermediate_size"], self.c.get("mlp_bias", False)
        gate = self.linear(h, f"{at}.mlp.gate_proj", F, biased)
        up = self.linear(h, f"{at}.mlp.up_proj", F, biased)
        return x + self.linear(gate / (1 + np.exp(-gate)) * up, f"{at}.mlp.down_proj", self.D, biased)

    def key_norm(self, layers):
        if not self.qwen3:
            return None
        names = [f"model.layers.{layer}.self_attn.k_norm.weight" for layer in layers]
        return np.mean([self.w(name, self.E) for name in names], 0)

    def forward(self, tokens, student=None):
        """Inputs of every layer and log-probabilities. student: (K, G, maps)"""
        x = self.w("model.embed_tokens.weight", self.V, self.D)[tokens]
        inputs = []
        for layer in range(self.L):
            inputs.append(x)
            if student and layer >= student[0]:
                K, group, maps = student
                store = (layer - K) // group
                made = with_one(self.norm(inputs[K], 1)) @ maps[store]
                owner = K + store * group
                x = self.layer(x, layer, made, self.key_norm(range(owner, owner + group)))
            else:
                x = self.layer(x, layer, self.keys_values(x, layer), self.key_norm([layer]))
        h = self.norm(x, self.w("model.norm.weight", self.D))
        tied = self.c["tie_word_embeddings"]
        logits = h @ self.w("model.embed_tokens.weight" if tied else "lm_head.weight", self.V, self.D).T
        logits -= logits.max(-1, keepdims=True)
        return inputs, logits - np.log(np.exp(logits).sum(-1, keepdims=True))


with_one = lambda x: np.concatenate([x, np.ones((len(x), 1))], -1)


def calibrate(model, tokens, K, group):
    X, Y = [], [[] for _ in range(K, model.L)]
    for at in range(0, len(tokens), WINDOW):
        inputs, _ = model.forward(tokens[at : at + WINDOW])
        X.append(with_one(model.norm(inputs[K], 1)))
        for i, layer in enumerate(range(K, model.L)):
            Y[i].append(model.keys_values(inputs[layer], layer))
    X, Y = np.concatenate(X), [np.concatenate(y) for y in Y]
    A = X.T @ X
    lam = RIDGE * np.diag(A).mean()
    solve = lambda y: np.linalg.solve(A + lam * np.eye(len(A)), X.T @ y)
    maps = [solve(np.mean(Y[i : i + group], 0)) for i in range(0, len(Y), group)]
    r2 = [1 - ((y - X @ maps[i // group]) ** 2).sum() / (y**2).sum() for i, y in enumerate(Y)]
    return maps, r2, lam


def case(variant, K, group, count):
    model = Model(variant)
    tokens = text(model.V, count + HELD_OUT)
    maps, r2, lam = calibrate(model, tokens[:count], K, group)
    _, dense = model.forward(tokens[count:])
    _, student = model.forward(tokens[count:], (K, group, maps))
    kl = (np.exp(dense) * (dense - student)).sum(-1).mean()
    chosen = student[np.arange(HELD_OUT - 1), tokens[count + 1 :]]
    print(f"{variant} K {K} G {group}: R² {np.round(r2, 3)} KL {kl:.4f}")
    sampled = [[float(f"{value:.8g}") for value in m.ravel()[::STEP]] for m in maps]
    return {
        "variant": variant,
        "layers": K,
        "group": group,
        "tokens": count,
        "lambda": lam,
        "r2": r2,
        "kl": kl,
        "logprobs": [round(float(value), 8) for value in chosen],
        "maps": sampled,
    }


if __name__ == "__main__":
    settings = {"step": STEP, "window": WINDOW, "heldOut": HELD_OUT, "ridge": RIDGE}
    cases = [case(*each) for each in CASES]
    lines = ",\n".join(json.dumps(each) for each in cases)
    head = json.dumps({"made": f"numpy {np.__version__} float64"} | settings)[:-1]
    (HERE / "calibration.json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n')

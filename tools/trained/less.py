"""Trains the feature maps of LESS for a Llama checkpoint: the model is frozen, each layer is trained by itself.

A window of tokens is cut into a prompt and what follows. At the prompt's end each list keeps what SnapKV keeps (as src/kv/systems/pyramid
does), all other tokens enter the state. Trained are the maps φ of queries and ψ of keys, so that attention to what is kept and to the
state is what attention to all tokens was: mean squared error of the layer's attention output (after o_proj), on rows past the prompt.

  python tools/trained/less.py BASE --corpora CORPORA --out FILE [--fable DATA] [--window 1024 --windows 64 --steps 1500]

Source: Dong et al., LESS (2402.09398). The file's form is in docs/kv.md, "LESS".
"""
import argparse
import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "students"))
import data
import file
from base import Base

R, HIDDEN = 8, 32
PAGE, WINDOW, RADIUS = 32, 32, 3  # as src/kv/systems/pyramid
TINY = 1e-30


# ---- what the engine does with a prompt ----


def attend(q, k, v, mask):
    """q [H, T, E], k and v [G, S, E], mask [G or 1, T, S] -> output [H, T, E] and log-sum-exp [H, T]."""
    groups = q.unflatten(0, (k.shape[0], -1))
    scores = torch.einsum("grte,gse->grts", groups, k) / q.shape[-1] ** 0.5
    scores = scores.masked_fill(~mask[:, None], -torch.inf)
    out = torch.einsum("grts,gse->grte", scores.softmax(-1), v)
    return out.flatten(0, 1), scores.logsumexp(-1).flatten(0, 1)


def kept_slots(q, k, P, budget):
    """[G, P]: which tokens of the prompt each list keeps. The last WINDOW queries score the tokens, pooled with their neighbours."""
    slots = (P - WINDOW) // PAGE * PAGE
    rows = torch.arange(P - WINDOW, P)
    groups = q[:, P - WINDOW : P].unflatten(0, (k.shape[0], -1))
    scores = torch.einsum("grte,gse->grts", groups, k[:, :P]) / q.shape[-1] ** 0.5
    scores = scores.masked_fill(torch.arange(P) > rows[:, None], -torch.inf).softmax(-1)
    scores = scores.sum(2).mean(1)[:, :slots]
    pooled = functional.max_pool1d(scores, 2 * RADIUS + 1, 1, RADIUS)
    kept = torch.zeros(k.shape[0], P, dtype=torch.bool)
    kept[:, slots:] = True
    return kept.scatter(1, pooled.topk(budget - (P - slots)).indices, True)


def cut(q, k, v, P, budget, rows):
    """What a layer is trained on: of some rows past the prompt their queries, what they get from kept tokens, and what from all."""
    T = q.shape[1]
    kept = kept_slots(q, k, P, budget)
    causal = torch.arange(T) <= rows[:, None]
    mask = causal & functional.pad(kept, (0, T - P), value=True)[:, None]
    some, lse = attend(q[:, rows], k, v, mask)
    whole, _ = attend(q[:, rows], k, v, causal[None])
    gone = torch.stack([torch.nonzero(~each)[:, 0] for each in kept])[..., None].expand(-1, -1, k.shape[-1])
    half = lambda x: x.to(torch.float16)
    return {"q": half(q[:, rows]), "some": half(some), "lse": lse, "whole": half(whole), "k": half(k.gather(1, gone)), "v": half(v.gather(1, gone))}


# ---- the maps ----


def features(x, w1, w2):
    """x [heads, T, E] -> [heads, T, R]"""
    return functional.gelu(functional.gelu(x @ w1) @ w2)


class Maps(torch.nn.Module):
    """φ of each query head and ψ of each key head. Inputs are divided by `sizes` (of queries, of keys), which the file has multiplied in."""

    def __init__(self, H, G, E, sizes):
        super().__init__()
        normal = lambda *shape: torch.nn.Parameter(torch.randn(shape) * (2 / shape[-2]) ** 0.5)
        self.sizes = sizes
        self.q1, self.q2 = normal(H, E, HIDDEN), normal(H, HIDDEN, R)
        self.k1, self.k2 = normal(G, E, HIDDEN), normal(G, HIDDEN, R)
        self.mix = torch.nn.Parameter(torch.randn(G, R, R) * R**-0.5)
        self.gain = torch.nn.Parameter(torch.zeros(G, R))  # ln of d1: what has to be learnt is of any size
        self.shift = torch.nn.Parameter(torch.full((G, R), 1e-2))

    def phi(self, q):
        return features(q / self.sizes[0], self.q1, self.q2).abs()

    def psi(self, k):
        b = self.gain.exp()[:, None] * features(k / self.sizes[1], self.k1, self.k2)
        return (b + b @ self.mix * self.shift[:, None]).abs()

    def state(self, k, v):
        """H [G, R, E] and z [G, R]"""
        psi = self.psi(k)
        return torch.einsum("gsr,gse->gre", psi, v), psi.sum(1)

    def read(self, q, state, some, lse):
        """What kept tokens and the state give together, and the logarithm of the state's weight."""
        phi = self.phi(q)
        H, z = (part.repeat_interleave(q.shape[0] // part.shape[0], 0) for part in state)
        sums = torch.einsum("htr,hr->ht", phi, z) + TINY
        own = torch.einsum("htr,hre->hte", phi, H) / sums[..., None]
        share = (sums.log() - lse).sigmoid()[..., None]
        return some + share * (own - some), sums.log()

    def tensors(self):
        """As the file has them: names and arrays."""
        parts = {"query.in": self.q1 / self.sizes[0], "query.out": self.q2, "key.in": self.k1 / self.sizes[1], "key.out": self.k2}
        parts |= {"key.mix": self.mix, "key.gain": self.gain.exp(), "key.shift": self.shift}
        return {name: part.detach() for name, part in parts.items()}


def loss_of(maps, output, each):
    """Mean squared error of the layer's attention output, with the state."""
    each = {name: part.float() for name, part in each.items()}
    got, _ = maps.read(each["q"], maps.state(each["k"], each["v"]), each["some"], each["lse"])
    return error(got, each["whole"], output)


def error(got, whole, output):
    return ((got - whole).transpose(0, 1).flatten(1) @ output.T).square().mean()


def error_without(output, each):
    return error(each["some"].float(), each["whole"].float(), output).item()


def log_shares(maps, cuts):
    """[H, rows] by how much the state's weight differs from that of kept tokens, as logarithms."""
    parts = [{name: part.float() for name, part in each.items()} for each in cuts]
    return torch.cat([maps.read(each["q"], maps.state(each["k"], each["v"]), each["some"], each["lse"])[1] - each["lse"] for each in parts], 1)


def train_layer(output, cuts, held, steps, rate):
    """Returns the maps and how much of the squared error the state takes away on held-out windows."""
    rms = lambda name: torch.cat([each[name].float().flatten() for each in cuts]).square().mean().sqrt()
    (H, _, E), G = cuts[0]["q"].shape, len(cuts[0]["k"])
    maps = Maps(H, G, E, (rms("q"), rms("k")))
    with torch.no_grad():  # begin where the state weighs little, and yet as much as to be felt
        maps.gain -= (log_shares(maps, cuts[:8]).median(1).values.unflatten(0, (G, -1)).mean(1) + 4)[:, None]
    optimizer = torch.optim.Adam(maps.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    plain = sum(error_without(output, each) for each in cuts) / len(cuts)
    order = torch.Generator().manual_seed(1)
    for _ in range(steps):
        loss = loss_of(maps, output, cuts[torch.randint(len(cuts), (1,), generator=order)]) / plain
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(maps.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        with_state = sum(loss_of(maps, output, each).item() for each in held) / len(held)
    return maps, with_state, sum(error_without(output, each) for each in held) / len(held)


# ---- the model's queries, keys and values ----


@torch.no_grad()
def layers_of(base, ids):
    """Layer after layer (q [H, T, E] and k [G, T, E] rotated, v [G, T, E]) of one window."""
    rotation = base.rotation(len(ids))
    x = base.embed(ids)[None]
    for layer in range(base.L):
        h = base.normed(x, layer)
        q, k, v = (base.split(base.linear(h, base.w(layer, f"self_attn.{name}_proj")).float()) for name in "qkv")
        yield base.rotate(q, rotation)[0], base.rotate(k, rotation)[0], v[0]
        x = base.layer(x, layer, rotation)


def collect(base, windows, options, say):
    """[layer][window] what `cut` gives."""
    cuts = [[] for _ in range(base.L)]
    draw = torch.Generator().manual_seed(2)
    between = lambda least, most: int(torch.randint(least, most + 1, (1,), generator=draw))
    for n, ids in enumerate(windows):
        T = len(ids)
        P = between(T * 5 // 10, T * 8 // 10)
        budget = between(options.budgets[0], min(options.budgets[1], P - PAGE))
        rows = P + torch.randperm(T - P, generator=draw)[: options.rows].sort().values
        for layer, (q, k, v) in enumerate(layers_of(base, ids)):
            cuts[layer].append(cut(q, k, v, P, budget, rows))
        if n % 10 == 9:
            say(f"{n + 1} windows read")
    return cuts


def windows_of(base, options):
    """Windows to train on, then held-out ones."""
    held = options.windows // 8
    if options.fable:
        texts = data.Fable(base, options.fable, options.window, 1, options.corpora)
        return [texts.made.batch(1, options.window)[0][0] for _ in range(options.windows + held)], held
    texts = data.General(base, options.corpora, options.window, cache=options.out.with_suffix(".tokens.pt"))
    train = [texts.at(n) for n in range(options.windows)]
    kinds = list(texts.held)
    return train + [texts.held_out(kinds[n % len(kinds)], held)[n][0] for n in range(held)], held


def write(path, base, maps, options):
    about = {"system": "less", "base": base.hash, "name": base.name}
    about |= {"rank": str(R), "hidden": str(HIDDEN), "window": str(WINDOW), "budgets": "–".join(map(str, options.budgets)), "tokens": str(options.window)}
    tensors = {}
    for layer, each in enumerate(maps):
        for name, values in each.tensors().items():
            # Of d1 an f16 might be too small or too large.
            values = values.numpy().astype(np.float32 if name == "key.gain" else np.float16).reshape(-1)
            assert np.isfinite(values).all(), f"layer {layer} {name} does not fit into {values.dtype}"
            tensors[f"less.layers.{layer}.{name}"] = values
    file.write(path, tensors, about)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=pathlib.Path)
    parser.add_argument("--corpora", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--fable", type=pathlib.Path, help="folder with Fable's pool.json and tokenizer.json")
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--budgets", type=int, nargs=2, default=[96, 384])
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=3e-3)
    options = parser.parse_args()
    options.out = options.out.resolve()
    torch.manual_seed(0)
    began = time.time()
    log = open(options.out.with_suffix(".log"), "a")

    def say(text):
        line = f"{time.time() - began:7.0f} s  {text}"
        print(line, flush=True)
        print(line, file=log, flush=True)

    base = Base(options.base).place(torch.bfloat16)
    say(f"{base.name}: {vars(options)}")
    windows, held = windows_of(base, options)
    cuts = collect(base, windows, options, say)
    maps = []
    for layer in range(base.L):
        output = base.w(layer, "self_attn.o_proj").float()
        each, with_state, without = train_layer(output, cuts[layer][:-held], cuts[layer][-held:], options.steps, options.rate)
        cuts[layer] = None
        maps.append(each)
        say(f"layer {layer}: held-out error {without:.4g} without a state, {with_state:.4g} with it ({with_state / without - 1:+.1%})")
    write(options.out, base, maps, options)
    say(f"{options.out.name}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()

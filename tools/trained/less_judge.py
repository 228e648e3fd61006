"""What a file of LESS is worth: how far predictions past a prompt move from those with all tokens, with the state and without (SnapKV).

  python tools/trained/less_judge.py BASE FILE --corpora CORPORA [--fable DATA] [--window 704 --prompt 512 --budgets 256 128 --windows 40]

The windows are held out from training. KL divergences are means over all positions past the prompt, in nats per token.
"""
import argparse
import json
import pathlib

import numpy as np
import torch
from torch.nn import functional

import less  # isort: skip: it finds the two below, in tools/students
import data
from base import Base


def read(path):
    """(metadata, layer -> name -> tensor) of a file that `less.py` wrote."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    about = header.pop("__metadata__")
    layers = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(raw[8 + size + begin : 8 + size + end], {"F16": np.float16, "F32": np.float32}[entry["dtype"]])
        _, _, layer, part = name.split(".", 3)
        layers.setdefault(int(layer), {})[part] = torch.from_numpy(values.astype(np.float32))
    return about, layers


def maps_of(parts, H, G, E):
    maps = less.Maps(H, G, E, (1, 1))
    shapes = {"query.in": maps.q1, "query.out": maps.q2, "key.in": maps.k1, "key.out": maps.k2, "key.mix": maps.mix, "key.gain": maps.gain, "key.shift": maps.shift}
    for name, parameter in shapes.items():
        values = parts[name].reshape(parameter.shape)
        parameter.data = values.log() if name == "key.gain" else values
    return maps


@torch.no_grad()
def logits_of(base, ids, P, budget, maps):
    """[T − P, V] past the prompt. `budget` None: all tokens are seen. `maps` None: what is not kept is lost."""
    T = len(ids)
    rotation = base.rotation(T)
    causal = torch.ones(T, T, dtype=torch.bool).tril()
    x = base.embed(ids)[None]
    for layer in range(base.L):
        h = base.normed(x, layer)
        q, k, v = (base.split(base.linear(h, base.w(layer, f"self_attn.{name}_proj")).float()) for name in "qkv")
        q, k, v = base.rotate(q, rotation)[0], base.rotate(k, rotation)[0], v[0]
        out, _ = less.attend(q, k, v, causal[None])
        if budget:
            rows = torch.arange(P, T)
            kept = less.kept_slots(q, k, P, budget)
            some, lse = less.attend(q[:, rows], k, v, causal[rows] & functional.pad(kept, (0, T - P), value=True)[:, None])
            if maps:
                gone = torch.stack([torch.nonzero(~each)[:, 0] for each in kept])[..., None].expand(-1, -1, k.shape[-1])
                some, _ = maps[layer].read(q[:, rows], maps[layer].state(k.gather(1, gone), v.gather(1, gone)), some, lse)
            out[:, rows] = some
        x = x + base.linear(out.transpose(0, 1).flatten(1)[None], base.w(layer, "self_attn.o_proj"))
        h = base.norm(x, base.w(layer, "post_attention_layernorm"))
        gate, up = (base.linear(h, base.w(layer, f"mlp.{name}_proj")) for name in ("gate", "up"))
        x = x + base.linear(functional.silu(gate) * up, base.w(layer, "mlp.down_proj"))
    return base.linear(base.final(x)[0, P:], base.output()).float()


def divergence(whole, part):
    """[T − P] KL(whole‖part)"""
    a, b = whole.log_softmax(-1), part.log_softmax(-1)
    return (a.exp() * (a - b)).sum(-1)


def windows_of(base, options):
    if options.fable:
        texts = data.Fable(base, options.fable, options.window, 1, options.corpora)
        return {"tales": texts.held_out("tales", options.windows)}
    texts = data.General(base, options.corpora, options.window, held_only=True)
    return {kind: texts.held_out(kind, options.windows) for kind in texts.held}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=pathlib.Path)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--corpora", type=pathlib.Path, required=True)
    parser.add_argument("--fable", type=pathlib.Path)
    parser.add_argument("--window", type=int, default=704)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--budgets", type=int, nargs="+", default=[256, 128])
    parser.add_argument("--windows", type=int, default=40)
    options = parser.parse_args()
    base = Base(options.base).place(torch.float32)
    about, layers = read(options.file)
    assert about["base"] == base.hash, f"{options.file} is for another model"
    maps = [maps_of(layers[layer], base.H, base.G, base.E) for layer in range(base.L)]
    for kind, windows in windows_of(base, options).items():
        sums = {}
        for ids, _ in windows:
            whole = logits_of(base, ids, options.prompt, None, None)
            for budget in options.budgets:
                for name, own in (("snapkv", None), ("less", maps)):
                    part = logits_of(base, ids, options.prompt, budget, own)
                    sums.setdefault((name, budget), []).append(divergence(whole, part).mean().item())
        for (name, budget), each in sums.items():
            other = sums["snapkv", budget]
            better = sum(a < b for a, b in zip(each, other))
            print(f"{kind}: {name}:budget={budget} KL {np.mean(each):.5f} (median {np.median(each):.5f}), nearer than snapkv in {better} of {len(each)} windows", flush=True)


if __name__ == "__main__":
    main()

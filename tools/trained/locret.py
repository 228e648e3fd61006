"""Trains Locret's retaining heads for a Llama whose own weights stay as they are. README.md says how.

First q, k, v (before rotation) and labels are collected from windows of text, then each layer's head is trained on them alone.
"""
import argparse
import pathlib
import random
import sys
import time

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "students"))
import file  # noqa: E402
from base import Base  # noqa: E402
from data import Fable, General  # noqa: E402

HIDDEN = 64
RUN = 32  # neighbouring tokens that are kept of a window together: the loss looks at neighbours
RUNS = 16  # of a window
SMOOTH = 0.0025  # of the squared difference of neighbours' scores, as in the paper
BATCH = 16  # runs of a training step
RATE = 2e-3


# ---- what heads learn from ----


class Samples:
    """Of each layer: inputs [runs, RUN, (H + 2G)·E] float16 and labels [runs, RUN, G]. A window gives RUNS runs."""

    def __init__(self, base):
        self.inputs = [[] for _ in range(base.L)]
        self.labels = [[] for _ in range(base.L)]

    def add(self, layer, inputs, labels, runs):
        rows = runs[:, None] + torch.arange(RUN)
        self.inputs[layer].append(inputs[rows].half())
        self.labels[layer].append(labels[rows])

    def of(self, layer):
        return torch.cat(self.inputs[layer]), torch.cat(self.labels[layer])


@torch.inference_mode()
def collect(base, samples, ids, asks, rng):
    """`ids` [T]: the tokens from `asks` on are the answer, whose queries say what those before were worth."""
    rotation = base.rotation(len(ids))
    x = base.embed(ids[None])
    runs = torch.tensor(sorted(rng.sample(range(asks - RUN + 1), RUNS)))
    for layer in range(base.L):
        kv = base.keys_values(x, layer)
        q = base.linear(base.normed(x, layer), base.w(layer, "self_attn.q_proj")).float()
        k, _ = kv.chunk(2, -1)
        labels = worth(base, q, k, rotation, asks)
        samples.add(layer, torch.cat([q, kv], -1)[0, :asks], labels, runs)
        x = base.layer(x, layer, rotation, kv, lambda _, q=q: q)


def worth(base, q, k, rotation, asks):
    """[asks, G]: the largest scaled product of a token's key with a query of the answer, of all heads of the group."""
    q = base.rotate(base.split(q), rotation)[0, :, asks:].unflatten(0, (base.G, -1)).flatten(1, 2)
    k = base.rotate(base.split(k), rotation)[0, :, :asks]
    products = q.to(base.dtype) @ k.to(base.dtype).transpose(1, 2)
    return products.float().amax(1).T / base.E**0.5


# ---- windows, and where their answers begin ----


def general_windows(base, corpora, length, cache):
    data = General(base, corpora, length, cache=cache)
    step = 0
    while True:
        yield data.at(step), length - length // 4
        step += 1


def fable_windows(base, pool, corpora, length):
    """Notes with questions for them, and in every third window the texts that the model was trained on."""
    data = Fable(base, pool, length, 1, corpora)
    rnd, step = data.made.rnd, 0
    while True:
        rnd.seed(1000 + step)
        if step % 3 == 2:
            yield data.made.batch(1, length)[0][0], length - length // 4
        else:
            task = data.made.note_task(length)
            asks = next(i for i, (_, weight) in enumerate(task) if weight == 1.0) - 12  # the question
            if asks > 4 * RUN:
                yield torch.tensor([token for token, _ in task]), asks
        step += 1


# ---- training ----


def train_layer(inputs, labels, epochs, held):
    """Returns w1 [in, HIDDEN], w2 [HIDDEN, G] and what they give on the last `held` runs."""
    spread = inputs.float().flatten(0, 1).std(0).clamp_min(1e-6)
    middle, width = labels.flatten(0, 1).mean(0), labels.flatten(0, 1).std(0).clamp_min(1e-6)
    wanted = (labels - middle) / width  # of one list, so its order is the same
    count, n, G = len(inputs) - held, inputs.shape[-1], labels.shape[-1]
    w1 = (torch.randn(n, HIDDEN) / n**0.5).requires_grad_()
    w2 = (torch.randn(HIDDEN, G) / HIDDEN**0.5).requires_grad_()
    optimiser = torch.optim.AdamW([w1, w2], RATE, betas=(0.9, 0.95), weight_decay=0.05)
    steps = epochs * (count // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps + 1, pct_start=0.1)
    for step in range(steps):
        if step % (count // BATCH) == 0:
            order = torch.randperm(count)
        rows = order[(step % (count // BATCH)) * BATCH :][:BATCH]
        scores = functional.silu((inputs[rows].float() / spread) @ w1) @ w2
        loss = functional.smooth_l1_loss(scores, wanted[rows])
        loss = loss + SMOOTH * (scores[:, 1:] - scores[:, :-1]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_([w1, w2], 0.5)
        optimiser.step()
        rate.step()
    w1, w2 = (w1 / spread[:, None]).detach(), w2.detach()
    last = inputs[count:].float()
    return w1, w2, judge(functional.silu(last @ w1) @ w2, labels[count:])


def judge(scores, labels):
    """By windows: the share of the best quarter of the tokens that is found, and the correlation."""
    by_window = lambda x: x.unflatten(0, (-1, RUNS)).flatten(1, 2).transpose(1, 2)  # [windows, G, RUNS·RUN]
    scores, labels = by_window(scores), by_window(labels)
    quarter = labels.shape[-1] // 4
    best = labels.topk(quarter, -1).indices
    found = lambda x: torch.zeros_like(labels).scatter(-1, x.topk(quarter, -1).indices, 1).gather(-1, best).mean().item()
    centre = lambda x: x - x.mean(-1, keepdim=True)
    a, b = centre(scores), centre(labels)
    return {"found": found(scores), "correlation": ((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))).mean().item()}


# ---- the file ----


def write(path, layers, card):
    """float16 tensors locret.layers.{i}.w1 [(H + 2G)·E, hidden] and w2 [hidden, G]; the card as metadata."""
    names = ("w1", "w2")
    tensors = {f"locret.layers.{i}.{name}": values.numpy().astype(np.float16) for i, layer in enumerate(layers) for name, values in zip(names, layer)}
    file.write(path, tensors, {"format": "pt", **{key: str(value) for key, value in card.items()}})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--fable", help="the folder of Fable's training data")
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=25, help="of collecting at most")
    parser.add_argument("--epochs", type=int, default=30)
    args = parser.parse_args()
    torch.manual_seed(0)
    began = time.time()
    log = lambda text: print(f"{time.time() - began:6.0f} s  {text}", flush=True)
    base = Base(args.base).place(torch.float32 if args.fable else torch.bfloat16)
    out = pathlib.Path(args.out)
    windows = fable_windows(base, args.fable, args.corpora, args.length) if args.fable else general_windows(base, args.corpora, args.length, out.with_suffix(".tokens.pt"))
    torch.set_num_threads(1)
    samples, rng, count = Samples(base), random.Random(3), 0
    for ids, asks in windows:
        collect(base, samples, ids, asks, rng)
        count += 1
        if count % 10 == 0:
            log(f"{count} windows")
        if count == args.windows or time.time() - began > 60 * args.minutes:
            break
    held = RUNS * (count // 10)
    layers, found = [], []
    for layer in range(base.L):
        w1, w2, judged = train_layer(*samples.of(layer), args.epochs, held)
        layers.append((w1, w2))
        found.append(judged["found"])
        log(f"layer {layer}: {judged['found']:.3f} of the best quarter found, correlation {judged['correlation']:.3f}")
    log(f"mean {sum(found) / len(found):.3f} of the best quarter found; 0.25 by chance")
    write(out, layers, {"system": "locret", "base": base.hash, "name": base.name, "hidden": HIDDEN, "length": args.length, "windows": count})


if __name__ == "__main__":
    main()

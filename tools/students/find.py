"""What a fit depends on: tokens, λ, texts, weights, the constant, K, G, queries. The rows of docs/recovery.md.

    python find.py BASE --out DIR [--windows 80] [--held 4] [--only tokens,ridge,…]

Writes DIR/rows.jsonl, a line for each student; plot.py draws it. One pass over the texts gives the sums for all fits.
"""
import argparse
import json
import os
import pathlib
import time

import torch

from base import Base
from chats import own_chats
from data import General
from groups import paired
from queries import refitted
from student import RIDGE, Student, attention_mass, evaluate, summary, with_one

KS = (10, 15, 20, 22, 25)
STUDIED = (15, 22)  # of these, everything; of the others, one fit
GROUPED = ((16, 2), (22, 2), (22, 4), (20, 2))  # K, G
COUNTS = (2, 5, 10, 20, 40, 80)  # windows
REFIT = 40  # windows that queries are refitted on


class Moments:
    """Sums of a weighted least-squares fit from x̂ of layer K to keys and values of each layer from K on."""

    def __init__(self, base, K, weight=None):
        """`weight(layer)` → [T] for the window under way; None: all count the same, and one Gram matrix serves all layers."""
        self.base, self.K, self.weight, self.tokens = base, K, weight, 0
        self.gram, self.cross = {}, {}

    def add(self, x, targets):
        """`x`: [T, D + 1]; `targets`: layer -> [T, 2·G·E]"""
        self.tokens += len(x)
        for j in range(self.K, self.base.L):
            xw = x if self.weight is None else x * self.weight(j)[:, None]
            if self.weight or j == self.K:
                grow(self.gram, j, xw.T @ x)
            grow(self.cross, j, xw.T @ targets[j])

    def maps(self, ridge=RIDGE, constant=True):
        """Layer -> [D + 1, 2·G·E]; without the constant its row is 0."""
        return {j: solve(self.gram_of(j), cross, ridge, constant) for j, cross in self.cross.items()}

    def gram_of(self, layer):
        return self.gram.get(layer, self.gram[self.K])


def grow(sums, key, product):
    sums[key] = sums[key] + product.double() if key in sums else product.double()


def solve(gram, cross, ridge, constant=True):
    n = len(gram) if constant else len(gram) - 1
    damped = gram[:n, :n] + ridge * gram.diagonal()[:n].mean() * torch.eye(n, dtype=torch.float64)
    map_ = torch.cholesky_solve(cross[:n], torch.linalg.cholesky(damped))
    return torch.nn.functional.pad(map_, (0, 0, 0, len(gram) - n))


def student(base, K, maps, queries=None):
    """`maps`: layer -> [D + 1, 2·G·E]; `queries`: layer -> [H·E, D]"""
    matrices = {}
    for j, w in maps.items():
        w = w.float()
        matrices[j] = {"kv": w[: base.D].T.contiguous(), "bias": w[base.D].clone()}
        if queries:
            matrices[j]["q"] = queries[j]
    return Student(base, K, matrices)


def converted(base, K, folded):
    """The model's own projections: as they are (behind layer K's norm), or each with its own layer's norm folded in."""
    maps = {}
    for j in range(K, base.L):
        own = torch.cat([base.weights[f"model.layers.{j}.self_attn.{kind}_proj.weight"] for kind in "kv"])
        scale = base.weights[f"model.layers.{j if folded else K}.input_layernorm.weight"]
        maps[j] = torch.cat([(own * scale).T, torch.zeros(1, len(own))])
    return student(base, K, maps)


# ---- one pass ----


class Reading:
    """Runs the ordinary model over windows; every Moments that is asked for grows by each."""

    def __init__(self, base):
        self.base, self.mass, self.rows, self.kept = base, {}, 0, []
        self.energy = {}  # layer -> [H, E]: Σ q²

    @torch.inference_mode()
    def read(self, ids, moments, keep=False):
        base, hidden = self.base, {}
        rotation, x = base.rotation(len(ids)), base.embed(ids[None])
        for layer in range(base.L):
            hidden[layer] = x[0]
            x = base.layer(x, layer, rotation)
        first = min(m.K for m in moments)
        targets = {j: base.keys_values(hidden[j], j) for j in range(first, base.L)}
        self.mass = {j: (attention_mass(base, hidden[j], j, targets[j]) - 0.3) / 0.7 for j in targets if j >= min(STUDIED)}
        self.rows = len(ids)
        inputs = {K: with_one(base.norm(hidden[K])) for K in {m.K for m in moments}}
        for m in moments:
            m.add(inputs[m.K], targets)
        for j in targets:
            q = base.linear(base.normed(hidden[j], j), base.w(j, "self_attn.q_proj")).float()
            grow(self.energy, j, q.unflatten(-1, (-1, base.E)).square().sum(0))
        if keep:
            self.kept.append({j: h.clone() for j, h in hidden.items() if j >= min(STUDIED)})

    # Weights of the window under way.
    def attended(self, floor):
        return lambda layer: floor + (1 - floor) * self.mass[layer]

    def first(self, factor):
        def weight(_):
            w = torch.ones(self.rows)
            w[0] = factor
            return w

        return weight

    def both(self, floor, factor):
        return lambda layer: self.attended(floor)(layer).maximum(self.first(1)(layer) * floor) * self.first(factor)(layer)


# ---- the experiments ----


class Finder:
    def __init__(self, base, data, args, log):
        self.base, self.data, self.log, self.out = base, data, log, args.out / "rows.jsonl"
        self.held = {kind: data.held_out(kind, args.held) for kind in data.held}
        self.only = args.only and args.only.split(",")
        self.count = args.windows
        self.rows = []

    def add(self, about, K, what, maps, G=1, tokens=None, queries=None):
        if self.only is None or about in self.only:
            made = maps if isinstance(maps, Student) else student(self.base, K, maps, queries)
            self.rows.append(({"about": about, "K": K, "G": G, "what": what, "tokens": tokens}, made))

    def judge(self):
        """Measures what was added since the last call."""
        results = evaluate(self.base, self.held, [made for _, made in self.rows])
        for (row, _), kinds in zip(self.rows, results):
            row["held"] = {kind: summary(each) for kind, each in kinds.items()}
            text = "  ".join(f"{k} {r['ce']:.3f} / {r['kl']:.4f} / {r['top1']:.3f}" for k, r in row["held"].items())
            self.log(f"{row['about']} K {row['K']} G {row['G']} {row['what']} ({row['tokens']} tokens): {text}")
            with open(self.out, "a") as file:
                file.write(json.dumps(row) + "\n")
        self.rows = []

    def starts(self):
        for K in KS:
            self.add("start", K, "as they are", converted(self.base, K, False))
            self.add("start", K, "γ folded", converted(self.base, K, True))
        self.judge()

    def read(self):
        """All sums in one pass."""
        base = self.base
        self.reading = reading = Reading(base)
        plain = {K: Moments(base, K) for K in {*KS, *(K for K, _ in GROUPED)}}
        weights = {
            "attention, floor .3": reading.attended(0.3),
            "attention, floor .03": reading.attended(0.03),
            "first token × 30": reading.first(30),
            "first token left out": reading.first(0),
            "attention, floor .3, first token × 30": reading.both(0.3, 30),
        }
        weighted = {(K, what): Moments(base, K, weight) for K in STUDIED for what, weight in weights.items()}
        domains = {(K, kind): Moments(base, K) for K in STUDIED for kind in self.data.kinds}
        for n in range(self.count):
            kind = self.data.kinds[n % 3]
            own = [domains[K, kind] for K in STUDIED]
            reading.read(self.data.train(n)[0][0], [*plain.values(), *weighted.values(), *own], n < REFIT)
            if n + 1 in COUNTS:
                self.log(f"read {n + 1} windows")
                self.tokens(plain, n + 1)
        self.plain, self.weighted, self.domains = plain, weighted, domains

    def tokens(self, plain, windows):
        for K in STUDIED:
            for ridge in (1e-4, 1e-2) if windows < 20 else (1e-4,):
                self.add("tokens", K, f"λ {ridge:g}", plain[K].maps(ridge), tokens=plain[K].tokens)

    def others(self):
        for K in STUDIED:
            sums, count = self.plain[K], self.plain[K].tokens
            for ridge in (1e-6, 1e-5, 1e-3, 1e-2, 1e-1):
                self.add("ridge", K, f"λ {ridge:g}", sums.maps(ridge), tokens=count)
            self.add("constant", K, "without the constant row", sums.maps(constant=False), tokens=count)
            for (own, what), each in self.weighted.items():
                if own == K:
                    self.add("weights", K, what, each.maps(), tokens=count)
            for (own, kind), each in self.domains.items():
                if own == K:
                    self.add("texts", K, f"{kind} only", each.maps(), tokens=each.tokens)
        for K in KS:
            self.add("K", K, "calibrated", self.plain[K].maps(), tokens=self.plain[K].tokens)
        self.judge()

    def shorter(self, sizes=(128,)):
        """The same text in shorter windows: more first tokens, less to look back at."""
        for size in sizes:
            sums = [Moments(self.base, K) for K in STUDIED]
            for n in range(REFIT):
                for part in self.data.train(n)[0][0].split(size):
                    self.reading.read(part, sums)
            for each in sums:
                self.add("window", each.K, f"windows of {size}", each.maps(), tokens=each.tokens)
        self.judge()

    def chats(self, count):
        """The model's own chats, as much text as each of the other domains has."""
        windows = own_chats(self.base, count, self.data.window, self.log)
        sums = [Moments(self.base, K) for K in STUDIED]
        for window in windows:
            self.reading.read(window, sums)
        for each in sums:
            self.add("texts", each.K, "own chats only", each.maps(), tokens=each.tokens)
        self.judge()

    def groups(self):
        for K, G in GROUPED:
            sums = self.plain[K]
            maps = sums.maps()
            owners = range(K, self.base.L, G)
            mean = {j: torch.stack([maps[i] for i in range(o, o + G)]).mean(0) for o in owners for j in range(o, o + G)}
            self.add("groups", K, "mean of the targets", mean, G, sums.tokens)
            shared, queries = paired(self.base, maps, sums.gram_of(K), self.reading.energy, K, G, values=False)
            self.add("groups", K, "keys turned by pairs", shared, G, sums.tokens, queries)
            shared, queries = paired(self.base, maps, sums.gram_of(K), self.reading.energy, K, G, values=True)
            self.add("groups", K, "keys turned by pairs, values in the output's metric", shared, G, sums.tokens, queries)
        self.judge()

    def queries(self):
        tokens = len(self.reading.kept) * self.data.window
        for K in STUDIED:
            maps = self.plain[K].maps()
            self.add("queries", K, f"refitted on {tokens} tokens", maps, 1, self.plain[K].tokens, refitted(self.base, K, maps, self.reading.kept))
        for K, G in GROUPED[1:3]:
            shared, turned = paired(self.base, self.plain[K].maps(), self.plain[K].gram_of(K), self.reading.energy, K, G, values=True)
            made = refitted(self.base, K, shared, self.reading.kept, turned)
            self.add("queries", K, f"turned, then refitted on {tokens} tokens", shared, G, self.plain[K].tokens, made)
        self.judge()


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("base")
    parse.add_argument("--out", type=pathlib.Path, required=True)
    parse.add_argument("--corpora", default="../shared/corpora")
    parse.add_argument("--windows", type=int, default=80, help="of 512 tokens, to calibrate on")
    parse.add_argument("--held", type=int, default=4, help="windows of each kind to measure on")
    parse.add_argument("--chats", type=int, default=27, help="windows of the model's own chats")
    parse.add_argument("--only", help="some of start, tokens, ridge, constant, weights, texts, K, groups, queries, window")
    args = parse.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", 2)))
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.time()
    log = lambda line: print(f"{time.time() - began:6.0f} s  {line}", flush=True)
    base = Base(args.base).place(torch.bfloat16)
    finder = Finder(base, General(base, args.corpora, 512, 1, args.out / "tokens.pt"), args, log)
    finder.starts()
    finder.read()
    finder.others()
    finder.groups()
    finder.queries()
    finder.shorter()
    finder.chats(args.chats)


if __name__ == "__main__":
    main()

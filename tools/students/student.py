"""Makes a SwiftKV student of a Llama: least squares, then distillation. Writes it as the engine reads it. README.md says how."""
import argparse
import json
import os
import pathlib
import time

import torch
from torch.nn import functional

import delta
from base import Base
from data import Fable, General

RIDGE = 1e-4
ROWS = 128  # positions whose logits exist at a time


# ---- least squares ----


class Sums:
    """Moments of x̂ (with a constant 1) and of the keys and values of each layer from K on; of queries' inputs, their own."""

    def __init__(self, base, K):
        n, width = base.D + 1, 2 * base.G * base.E
        self.K, self.tokens = K, 0
        self.gram = torch.zeros(n, n, dtype=torch.float64)
        self.cross = {j: torch.zeros(n, width, dtype=torch.float64) for j in range(K, base.L)}
        self.squares = {j: torch.zeros(width, dtype=torch.float64) for j in range(K, base.L)}
        self.inputs = {j: torch.zeros(base.D, base.D, dtype=torch.float64) for j in range(K, base.L)}
        self.grams = {j: torch.zeros(n, n, dtype=torch.float64) for j in range(K, base.L)}
        self.crosses = {j: torch.zeros(n, width, dtype=torch.float64) for j in range(K, base.L)}

    def add(self, base, hidden, weighted):
        """`hidden`: layer -> [T, D], what enters it."""
        x = with_one(base.norm(hidden[self.K]))
        self.gram += (x.T @ x).double()
        self.tokens += len(x)
        for j in self.cross:
            y = base.keys_values(hidden[j], j)
            self.cross[j] += (x.T @ y).double()
            self.squares[j] += y.double().square().sum(0)
            h = base.normed(hidden[j], j)
            self.inputs[j] += (h.T @ h).double()
            if weighted:
                xw = x * attention_mass(base, hidden[j], j, y)[:, None]
                self.grams[j] += (xw.T @ x).double()
                self.crosses[j] += (xw.T @ y).double()

    def solve(self, weighted):
        """Layer -> [D + 1, 2·G·E]"""
        maps = {}
        for j in self.cross:
            gram, cross = (self.grams[j], self.crosses[j]) if weighted else (self.gram, self.cross[j])
            ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
            maps[j] = torch.cholesky_solve(cross, torch.linalg.cholesky(gram + ridge))
        return maps

    def r2(self, maps):
        """The share of each layer's keys and values that its map gives."""
        left = lambda j, w: (self.squares[j] - 2 * (w * self.cross[j]).sum(0) + (w * (self.gram @ w)).sum(0)).sum()
        return [(1 - left(j, w) / self.squares[j].sum()).item() for j, w in maps.items()]


def with_one(x):
    return torch.cat([x, torch.ones(*x.shape[:-1], 1)], -1)


def attention_mass(base, x, layer, keys_values):
    """The share of attention each token receives, against an even share, with a floor and a roof: design/recovery.md, "Weighting"."""
    T = len(x)
    rotation = base.rotation(T)
    q = base.rotate(base.split(base.linear(base.normed(x, layer), base.w(layer, "self_attn.q_proj")).float()[None]), rotation)
    k = base.rotate(base.split(keys_values.chunk(2, -1)[0][None]), rotation)
    k = k.repeat_interleave(base.H // base.G, 1)
    scores = (q @ k.transpose(-1, -2)) / base.E**0.5
    p = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), float("-inf")).softmax(-1)
    mass = p.sum((0, 1, 2)) / torch.arange(T, 0, -1)
    return 0.3 + 0.7 * (mass * T / mass.sum()).clamp(max=100)


@torch.inference_mode()
def calibrate(base, data, Ks, windows, weighted, log):
    all_sums = [Sums(base, K) for K in Ks]
    for n in range(windows):
        ids = data.train(n)[0][:1]
        rotation = base.rotation(ids.shape[1])
        x, hidden = base.embed(ids), {}
        for layer in range(base.L):
            hidden[layer] = x[0]
            x = base.layer(x, layer, rotation)
        for sums in all_sums:
            sums.add(base, hidden, weighted)
        if n % 20 == 0:
            log(f"calibration window {n} of {windows}")
    return all_sums


# ---- the student ----


class Student:
    """Trained in coordinates of equal variance: inputs whitened by the calibration's moments, outputs in units of their spread.

    kv = ((x̂ − mean) S Uᵀ + c) · spread, so that one learning rate suits every direction. `matrices` gives it in plain form.
    """

    def __init__(self, base, sums, maps, queries, plain):
        self.base, self.K, self.layers = base, sums.K, list(maps)
        D = base.D
        moments = sums.gram / sums.tokens
        self.mean = torch.zeros(D) if plain else moments[D, :D].float()
        covariance = moments[:D, :D] - torch.outer(moments[D, :D], moments[D, :D])
        identity = (torch.eye(D), torch.eye(D))
        self.whiten, back = identity if plain else roots(covariance)
        self.spread, self.parameters, self.query_whiten = {}, {}, {}
        for j, w in maps.items():
            w = w.float()
            spread = (sums.squares[j] / sums.tokens - (sums.cross[j][D] / sums.tokens).square()).clamp(min=1e-8).sqrt().float()
            self.spread[j] = torch.ones_like(spread) if plain else spread
            self.parameters[f"{j}.kv"] = ((back @ w[:D]) / self.spread[j]).T.contiguous()
            self.parameters[f"{j}.bias"] = (w[D] + self.mean @ w[:D]) / self.spread[j]
            if queries:
                self.query_whiten[j], query_back = identity if plain else roots(sums.inputs[j] / sums.tokens)
                weight = base.weights[f"model.layers.{j}.self_attn.q_proj.weight"]
                spread = (weight @ (sums.inputs[j] / sums.tokens).float() * weight).sum(-1).clamp(min=1e-8).sqrt()
                self.spread[f"{j}.q"] = torch.ones_like(spread) if plain else spread
                self.parameters[f"{j}.q"] = ((weight @ query_back) / self.spread[f"{j}.q"][:, None]).contiguous()
        for p in self.parameters.values():
            p.requires_grad_(True)

    def forward(self, x, rotation):
        """[windows, T, D] that enters layer K → what leaves the last layer, and what enters it."""
        base, p = self.base, self.parameters
        z = base.linear(base.norm(x) - self.mean, self.whiten).float()
        for j in self.layers:
            last = x
            made = (base.linear(z, p[f"{j}.kv"]).float() + p[f"{j}.bias"]) * self.spread[j]
            x = base.layer(x, j, rotation, made, (lambda h, j=j: self.query(h, j)) if f"{j}.q" in p else None)
        return x, last

    def query(self, h, j):
        weight = self.parameters[f"{j}.q"] * self.spread[f"{j}.q"][:, None]
        return self.base.linear(h, weight @ self.query_whiten[j])

    @torch.no_grad()
    def matrices(self):
        """Layer -> {"kv": [2·G·E, D], "bias": [2·G·E], "q": [H·E, D] if trained}"""
        result = {}
        for j in self.layers:
            p, spread = self.parameters, self.spread[j]
            kv = (p[f"{j}.kv"] * spread[:, None]) @ self.whiten
            result[j] = {"kv": kv, "bias": p[f"{j}.bias"] * spread - kv @ self.mean}
            if f"{j}.q" in p:
                result[j]["q"] = (p[f"{j}.q"] * self.spread[f"{j}.q"][:, None]) @ self.query_whiten[j]
        return result


def roots(covariance):
    """(C^-½, C^½), with the ridge of the fit."""
    D = len(covariance)
    values, vectors = torch.linalg.eigh(covariance + RIDGE * covariance.diagonal().mean() * torch.eye(D, dtype=torch.float64))
    power = lambda e: (vectors * values.pow(e) @ vectors.T).float()
    return power(-0.5), power(0.5)


class Plain:
    """A student as it is stored: to measure what the file gives."""

    def __init__(self, base, K, matrices):
        self.base, self.K, self.m = base, K, matrices

    def forward(self, x, rotation):
        base = self.base
        shared = base.norm(x)
        for j, m in self.m.items():
            last = x
            made = base.linear(shared, m["kv"]).float() + m["bias"]
            x = base.layer(x, j, rotation, made, (lambda h, m=m: base.linear(h, m["q"])) if "q" in m else None)
        return x, last


# ---- the loss ----


class Divergence(torch.autograd.Function):
    """Of each student: T² · weighted mean of KL(teacher‖student) over positions. Logits exist for ROWS positions at a time."""

    @staticmethod
    def forward(ctx, base, want, weights, T, *students):
        gradients = [torch.empty_like(got) for got in students]
        totals = torch.zeros(len(students))
        share = weights / weights.sum()
        output = base.output()
        for at in range(0, len(want), ROWS):
            rows = slice(at, at + ROWS)
            p = log_softmax(base.linear(want[rows], output), T)
            chance = p.exp()
            for i, got in enumerate(students):
                q = log_softmax(base.linear(got[rows], output), T)
                totals[i] += torch.linalg.vecdot(chance, p - q) @ share[rows] * T * T
                gradients[i][rows] = base.linear(q.exp_().sub_(chance), output.T) * (T * share[rows, None])
        ctx.save_for_backward(*gradients)
        return tuple(totals)

    @staticmethod
    def backward(ctx, *outer):
        return None, None, None, None, *(g * o for g, o in zip(ctx.saved_tensors, outer))


def log_softmax(logits, T):
    logits = logits.float()
    return (logits if T == 1 else logits.div_(T)).log_softmax(-1)


@torch.no_grad()
def evaluate(base, data, students, count, kinds=None):
    """Students -> kind -> {ce, kl, top1, dense ce}, per token of held-out windows."""
    results = [{} for _ in students]
    for kind in kinds or data.held:
        sums = torch.zeros(len(students), 3)
        dense = tokens = 0
        for ids, weights in data.held_out(kind, count):
            rotation = base.rotation(len(ids))
            x, outputs, at = base.embed(ids[None]), [], 0
            for i in sorted(range(len(students)), key=lambda i: students[i].K):
                x = base.run(x, range(at, students[i].K), rotation)
                at = students[i].K
                outputs.append((i, students[i].forward(x, rotation)[0]))
            x = base.run(x, range(at, base.L), rotation)
            counted = torch.ones(len(ids) - 1) if weights is None else weights[:-1]
            tokens += counted.sum().item()
            logprobs = lambda x: base.linear(base.final(x[0, :-1]), base.output()).float().log_softmax(-1)
            p = logprobs(x)
            ce = lambda q: -(q.gather(1, ids[1:, None])[:, 0] * counted).sum().item()
            dense += ce(p)
            for i, output in outputs:
                q = logprobs(output)
                kl = (functional.kl_div(q, p, log_target=True, reduction="none").sum(-1) * counted).sum().item()
                sums[i] += torch.tensor([ce(q), kl, ((p.argmax(-1) == q.argmax(-1)) * counted).sum().item()])
        for i, row in enumerate((sums / tokens).tolist()):
            results[i][kind] = dict(zip(("ce", "kl", "top1"), row)) | {"dense": dense / tokens}
    return results


# ---- training ----


class Run:
    """A student with its optimiser and how far it is: what a checkpoint holds."""

    def __init__(self, student, args):
        self.student, self.step, self.args = student, 0, args
        self.optimiser = torch.optim.AdamW(student.parameters.values(), lr=args.rate, betas=tuple(args.betas), eps=1e-8, weight_decay=0)

    def rate(self):
        steps, warm = self.args.steps, self.args.warm_up
        return self.args.rate * min((self.step + 1) / warm, max(0, steps - self.step) / (steps - warm))

    def update(self):
        """Uses the gradients up."""
        torch.nn.utils.clip_grad_norm_(self.student.parameters.values(), 1.0)
        self.optimiser.param_groups[0]["lr"] = self.rate()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1

    def state(self):
        return {"step": self.step, "parameters": self.student.parameters, "optimiser": self.optimiser.state_dict()}

    def restore(self, state):
        self.step = state["step"]
        with torch.no_grad():
            for name, p in self.student.parameters.items():
                p.copy_(state["parameters"][name])
        self.optimiser.load_state_dict(state["optimiser"])


def teach(base, runs, ids, weights, args):
    """One step of each run on windows [B, T]; the ordinary model runs once. Their KL."""
    rotation = base.rotation(ids.shape[1])
    inputs, x, at = [], base.embed(ids), 0
    with torch.no_grad():
        for run in runs:
            x = base.run(x, range(at, run.student.K), rotation)
            at = run.student.K
            inputs.append(x)
        x = hidden = base.run(x, range(at, base.L - 1), rotation)
        want = base.final(base.layer(x, base.L - 1, rotation)).flatten(0, 1)
    weights = torch.ones(ids.numel()) if weights is None else weights.flatten()
    outputs = [run.student.forward(x, rotation) for run, x in zip(runs, inputs)]
    finals = [base.final(x).flatten(0, 1) for x, _ in outputs]
    divergences = Divergence.apply(base, want, weights, args.temperature, *finals)
    losses = []
    for kl, (_, own) in zip(divergences, outputs):
        error = ((own - hidden).square().mean(-1).flatten() * weights).sum() / weights.sum() if args.hidden else 0
        losses.append(kl + args.hidden * error)
    sum(losses).backward()
    for run in runs:
        run.update()
    return [kl.item() for kl in divergences]


def write(path, save):
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    save(unfinished)
    os.replace(unfinished, path)


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("base", help="a folder with model.safetensors, or a .gguf with tokenizer.json beside it")
    parse.add_argument("--layers", type=int, nargs="+", required=True, help="K; several train side by side on one teacher")
    parse.add_argument("--out", type=pathlib.Path, required=True, help="folder of checkpoints, logs and students; resumes what is there")
    parse.add_argument("--corpora", default="../shared/corpora")
    parse.add_argument("--fable", metavar="DIR", help="Fable's training data: the folder where data.py wrote pool.json")
    parse.add_argument("--window", type=int, default=512)
    parse.add_argument("--batch", type=int, default=1, help="windows of a step")
    parse.add_argument("--calibrate", type=int, default=120, help="windows of the fit")
    parse.add_argument("--weighted", action="store_true", help="weight the fit by attention")
    parse.add_argument("--steps", type=int, default=0)
    parse.add_argument("--rate", type=float, default=1e-3)
    parse.add_argument("--warm-up", type=int, default=10)
    parse.add_argument("--betas", type=float, nargs=2, default=[0.9, 0.999])
    parse.add_argument("--temperature", type=float, default=1)
    parse.add_argument("--hidden", type=float, default=0, help="weight of the hidden states' squared error")
    parse.add_argument("--queries", action="store_true", help="train queries too")
    parse.add_argument("--plain", action="store_true", help="train the matrices themselves, not in whitened coordinates")
    parse.add_argument("--every", type=int, default=100, help="steps between checkpoints and measurements")
    parse.add_argument("--held", type=int, default=4, help="windows of each kind to measure on")
    parse.add_argument("--float32", action="store_true", help="products in float32: slow")
    args = parse.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", 2)))
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.time()

    def log(line):
        text = f"{time.time() - began:6.0f} s  {line}"
        print(text, flush=True)
        with open(args.out / "log.txt", "a") as file:
            file.write(text + "\n")

    base = Base(args.base).place(torch.float32 if args.float32 else torch.bfloat16)
    data = Fable(base, args.fable, args.window, args.batch, args.corpora) if args.fable else General(base, args.corpora, args.window, args.batch)
    Ks = sorted(args.layers)
    log(f"{base.name} {base.hash[:12]} {vars(args)}")

    fitted = args.out / "sums.pt"
    if not fitted.exists():
        sums = calibrate(base, data, Ks, args.calibrate, args.weighted, log)
        write(fitted, lambda path: torch.save([vars(s) for s in sums], path))
    sums = []
    for K, stored in zip(Ks, torch.load(fitted, weights_only=False)):
        assert stored["K"] == K, f"{fitted} is of K {stored['K']}"
        sums.append(Sums(base, K))
        vars(sums[-1]).update(stored)
    runs, made = [], []
    for s in sums:
        maps = s.solve(args.weighted)
        runs.append(Run(Student(base, s, maps, args.queries, args.plain), args))
        lam = RIDGE * s.gram.diagonal().mean().item()
        made.append({"tokens": s.tokens, "window": args.window, "ridge": RIDGE, "lambda": lam, "r2": s.r2(maps)})
        log(f"K {s.K} R² {' '.join(f'{r:.3f}' for r in made[-1]['r2'])}")

    def measure():
        for run, info, result in zip(runs, made, evaluate(base, data, [run.student for run in runs], args.held)):
            text = "  ".join(f"{kind} {r['ce']:.3f} ({r['dense']:.3f}) / {r['kl']:.4f} / {r['top1']:.3f}" for kind, r in result.items())
            log(f"K {run.student.K} step {run.step}: CE (dense) / KL / top-1  {text}")
            with open(args.out / "curve.jsonl", "a") as file:
                file.write(json.dumps({"K": run.student.K, "step": run.step, "held": result}) + "\n")
            path = args.out / f"k{run.student.K}.safetensors"
            write(path, lambda path: delta.write(path, base, run.student.K, run.student.matrices(), info))
            write(args.out / f"k{run.student.K}.pt", lambda path: torch.save(run.state(), path))

    for run in runs:
        checkpoint = args.out / f"k{run.student.K}.pt"
        if checkpoint.exists():
            run.restore(torch.load(checkpoint, weights_only=False))
            log(f"K {run.student.K} resumed at step {run.step}")
    if all(run.step == 0 for run in runs):
        measure()
    losses = []
    while runs[0].step < args.steps:
        step = runs[0].step
        losses.append(teach(base, runs, *data.train(args.calibrate + step), args))
        if (step + 1) % 10 == 0:
            mean = torch.tensor(losses[-10:]).mean(0).tolist()
            log(f"step {step + 1} loss {' '.join(f'{v:.4f}' for v in mean)}  {time.process_time():.0f} s of CPU")
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            measure()


if __name__ == "__main__":
    main()

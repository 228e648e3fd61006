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
    """Moments of x̂ (with a constant 1) and of the keys and values of each layer from K on."""

    def __init__(self, base, K):
        n, width = base.D + 1, 2 * base.G * base.E
        self.K, self.tokens = K, 0
        self.gram = torch.zeros(n, n, dtype=torch.float64)
        self.cross = {j: torch.zeros(n, width, dtype=torch.float64) for j in range(K, base.L)}
        self.squares = {j: torch.zeros(width, dtype=torch.float64) for j in range(K, base.L)}
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
    """Keys and values of layers from K on: linear in x̂ of layer K. Queries where they are given. As trained, and as stored."""

    def __init__(self, base, K, matrices):
        """`matrices`: layer -> {"kv": [2·G·E, D], "bias": [2·G·E], "q": [H·E, D] or none}"""
        self.base, self.K, self.matrices = base, K, matrices

    def forward(self, x, rotation):
        """[windows, T, D] that enters layer K → what leaves the last layer, and what enters it."""
        base = self.base
        last, shared = x, base.norm(x).to(base.dtype)
        for j, m in self.matrices.items():
            last = x
            queries = (lambda h, m=m: base.linear(h, m["q"])) if "q" in m else None
            x = base.layer(x, j, rotation, base.linear(shared, m["kv"]).float() + m["bias"], queries)
        return x, last

    def parameters(self):
        return {f"{j}.{part}": tensor for j, m in self.matrices.items() for part, tensor in m.items()}


def started(base, K, maps, queries):
    """The student of a fit, ready to train."""
    matrices = {}
    for j, w in maps.items():
        w = w.float()
        matrices[j] = {"kv": w[: base.D].T.contiguous(), "bias": w[base.D].clone()}
        if queries:
            matrices[j]["q"] = base.weights[f"model.layers.{j}.self_attn.q_proj.weight"].clone()
    student = Student(base, K, matrices)
    for p in student.parameters().values():
        p.requires_grad_(True)
    return student


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
def evaluate(base, windows, students):
    """`windows`: kind -> [(ids, weights)]. Of each student: kind -> for each window [CE, KL, top-1, the ordinary model's CE, tokens]."""
    results = [{kind: [] for kind in windows} for _ in students]
    logprobs = lambda x: log_softmax(base.linear(base.final(x[0, :-1]), base.output()), 1)
    for kind, ids, weights in ((kind, *window) for kind in windows for window in windows[kind]):
        rotation = base.rotation(len(ids))
        x, outputs, at = base.embed(ids[None]), [], 0
        for i in sorted(range(len(students)), key=lambda i: students[i].K):
            x = base.run(x, range(at, students[i].K), rotation)
            at = students[i].K
            outputs.append((i, students[i].forward(x, rotation)[0]))
        p = logprobs(base.run(x, range(at, base.L), rotation))
        counted = torch.ones(len(ids) - 1) if weights is None else weights[:-1]
        mean = lambda values: ((values * counted).sum() / counted.sum()).item()
        ce = lambda q: mean(-q.gather(1, ids[1:, None])[:, 0])
        for i, output in outputs:
            q = logprobs(output)
            kl = mean(functional.kl_div(q, p, log_target=True, reduction="none").sum(-1))
            results[i][kind].append([ce(q), kl, mean((p.argmax(-1) == q.argmax(-1)).float()), ce(p), counted.sum().item()])
    return results


def summary(rows):
    """Of windows: means over their tokens."""
    rows = torch.tensor(rows, dtype=torch.float64)
    means = (rows[:, :4] * rows[:, 4:]).sum(0) / rows[:, 4].sum()
    return dict(zip(("ce", "kl", "top1", "dense"), means.tolist()))


# ---- training ----


class Run:
    """A student with its optimiser and how far it is: what a checkpoint holds."""

    def __init__(self, student, args):
        self.student, self.step, self.losses, self.args = student, 0, [], args
        self.parameters = student.parameters()
        self.optimiser = torch.optim.AdamW(self.parameters.values(), lr=args.rate, betas=tuple(args.betas), eps=1e-8, weight_decay=0)

    def rate(self):
        steps, warm = self.args.steps, self.args.warm_up
        return self.args.rate * min((self.step + 1) / warm, max(0, steps - self.step) / (steps - warm))

    def update(self, loss):
        """Uses the gradients up."""
        self.losses.append(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimiser.param_groups[0]["lr"] = self.rate()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1

    def state(self):
        return {"step": self.step, "losses": self.losses, "parameters": self.parameters, "optimiser": self.optimiser.state_dict()}

    def restore(self, state):
        self.step, self.losses = state["step"], state["losses"]
        with torch.no_grad():
            for name, p in self.parameters.items():
                p.copy_(state["parameters"][name])
        self.optimiser.load_state_dict(state["optimiser"])


def teach(base, runs, ids, weights, args):
    """One step of each run on windows [B, T]; the ordinary model runs once."""
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
    for run, kl in zip(runs, divergences):
        run.update(kl.item())


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
    parse.add_argument("--rate", type=float, default=3e-4)
    parse.add_argument("--warm-up", type=int, default=10)
    parse.add_argument("--betas", type=float, nargs=2, default=[0.9, 0.99])
    parse.add_argument("--temperature", type=float, default=1)
    parse.add_argument("--hidden", type=float, default=0, help="weight of the hidden states' squared error")
    parse.add_argument("--queries", action="store_true", help="train queries too")
    parse.add_argument("--save", type=int, default=20, help="steps between checkpoints")
    parse.add_argument("--every", type=int, default=100, help="steps between measurements")
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
    data = Fable(base, args.fable, args.window, args.batch, args.corpora) if args.fable else General(base, args.corpora, args.window, args.batch, args.out / "tokens.pt")
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
        runs.append(Run(started(base, s.K, maps, args.queries), args))
        lam = RIDGE * s.gram.diagonal().mean().item()
        made.append({"tokens": s.tokens, "window": args.window, "ridge": RIDGE, "lambda": lam, "r2": s.r2(maps)})
        log(f"K {s.K} R² {' '.join(f'{r:.3f}' for r in made[-1]['r2'])}")

    def save():
        for run, info in zip(runs, made):
            K, first = run.student.K, run.losses[:10]
            distilled = run.step and {
                "steps": run.step, "tokens": run.step * args.batch * args.window, "window": args.window, "rate": args.rate,
                "temperature": args.temperature, "hiddenWeight": args.hidden,
                "firstLoss": sum(first) / len(first), "lastLoss": sum(run.losses[-10:]) / len(run.losses[-10:]),
            }  # fmt: skip
            matrices = {j: {part: t.detach() for part, t in m.items()} for j, m in run.student.matrices.items()}
            write(args.out / f"k{K}.safetensors", lambda path: delta.write(path, base, K, matrices, info, distilled or None))
            write(args.out / f"k{K}.pt", lambda path: torch.save(run.state(), path))

    def measure():
        windows = {kind: data.held_out(kind, args.held) for kind in data.held}
        for run, rows in zip(runs, evaluate(base, windows, [run.student for run in runs])):
            result = {kind: summary(each) for kind, each in rows.items()}
            text = "  ".join(f"{kind} {r['ce']:.3f} ({r['dense']:.3f}) / {r['kl']:.4f} / {r['top1']:.3f}" for kind, r in result.items())
            log(f"K {run.student.K} step {run.step}: CE (dense) / KL / top-1  {text}")
            with open(args.out / "curve.jsonl", "a") as file:
                file.write(json.dumps({"K": run.student.K, "step": run.step, "held": result}) + "\n")

    for run in runs:
        checkpoint = args.out / f"k{run.student.K}.pt"
        if checkpoint.exists():
            run.restore(torch.load(checkpoint, weights_only=False))
            log(f"K {run.student.K} resumed at step {run.step}")
    if not (args.out / "curve.jsonl").exists():
        save()
        measure()
    while (step := runs[0].step) < args.steps:
        teach(base, runs, *data.train(args.calibrate + step), args)
        step += 1
        if step % 10 == 0:
            means = " ".join(f"{sum(run.losses[-10:]) / 10:.4f}" for run in runs)
            log(f"step {step} loss {means}  {time.process_time():.0f} s of CPU")
        if step % args.save == 0 or step == args.steps:
            save()
        if step % args.every == 0 or step == args.steps:
            measure()


if __name__ == "__main__":
    main()

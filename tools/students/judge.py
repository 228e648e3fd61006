"""Measures students as their files give them, in float32, on held-out text. Writes the windows too, so that the engine can be asked the same.

    python judge.py BASE STUDENT... --out judged.json [--held 12] [--fable DIR]
"""
import argparse
import json
import os
import pathlib

import torch

import delta
from base import Base
from data import Fable, General
from student import Student, evaluate, summary


class Dense:
    """The ordinary model as a student that changes nothing."""

    def __init__(self, base):
        self.base, self.K = base, base.L

    def forward(self, x, rotation):
        return x, x


@torch.no_grad()
def note_answers(base, students, tasks):
    """The share of tokens of notes' values that are the likeliest, of each student."""
    hits, count = torch.zeros(len(students)), 0
    for ids, answer in tasks:
        rotation = base.rotation(len(ids))
        count += answer.sum().item()
        for i, student in enumerate(students):
            x = student.forward(base.run(base.embed(ids[None]), range(student.K), rotation), rotation)[0]
            best = base.linear(base.final(x[0]), base.output()).argmax(-1)
            hits[i] += (best[:-1] == ids[1:])[answer[:-1]].sum().item()
    return (hits / count).tolist(), count


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("base")
    parse.add_argument("students", type=pathlib.Path, nargs="+")
    parse.add_argument("--out", type=pathlib.Path, required=True)
    parse.add_argument("--corpora", default="../shared/corpora")
    parse.add_argument("--fable", metavar="DIR")
    parse.add_argument("--window", type=int, default=512)
    parse.add_argument("--held", type=int, default=12)
    parse.add_argument("--notes", type=int, default=60, help="Fable: tasks of each length")
    parse.add_argument("--bfloat16", action="store_true", help="faster, less exact")
    args = parse.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", 2)))
    base = Base(args.base).place(torch.bfloat16 if args.bfloat16 else torch.float32)
    data = Fable(base, args.fable, args.window, 1, args.corpora) if args.fable else General(base, args.corpora, args.window, held_only=True)
    students = [Dense(base)]
    for path in args.students:
        card, matrices = delta.read(path)
        assert card["base"] == base.hash, f"{path} is of another base"
        students.append(Student(base, card["swiftkv"]["layers"], matrices))
    names = ["dense", *map(str, args.students)]
    windows = {kind: data.held_out(kind, args.held) for kind in data.held}
    each = dict(zip(names, evaluate(base, windows, students)))
    means = {name: {kind: summary(rows) for kind, rows in kinds.items()} for name, kinds in each.items()}
    for name, kinds in means.items():
        print(name, "  ".join(f"{k} {r['ce']:.4f} / {r['kl']:.4f} / {r['top1']:.3f}" for k, r in kinds.items()), flush=True)
    plain = {kind: [ids.tolist() for ids, weights in each if weights is None] for kind, each in windows.items()}
    report = {"base": base.hash, "means": means, "each": each, "windows": plain}
    if args.fable and args.notes:
        for T in (256, 512, 1000, 1900):
            shares, count = note_answers(base, students, data.notes(T, args.notes))
            report[f"notes {T}"] = dict(zip(names, shares)) | {"tokens": count}
            print(f"notes in {T} tokens ({count} tokens of answers)", [f"{s:.3f}" for s in shares], flush=True)
    args.out.write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()

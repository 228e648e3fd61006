"""Windows of tokens to calibrate on, to train on, and held-out ones, by kind of text.

`train(step)` gives the windows of a step, the same whenever it is asked for, so that a resumed run sees what an uninterrupted one
would: (ids [B, T], weights [B, T] or None), how much each position's prediction counts. Held-out windows are (ids [T], weights).
"""
import json
import os
import pathlib
import random
import sys

import torch

# Whole books that nothing is trained on.
HELD_BOOKS = ("Jane_Austen_-_Persuasion.md", "H.G._Wells_-_The_Time_Machine.md", "Robert_Louis_Stevenson_-_Treasure_Island.md")
SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"


def chat(*turns):
    roles = ("user", "assistant")
    return SYSTEM + "".join(f"<|im_start|>{roles[i % 2]}\n{text}<|im_end|>\n" for i, text in enumerate(turns))


class General:
    """For a general chat model: encyclopaedia, novels, chats, a third each."""

    def __init__(self, base, corpora, window, batch=1, cache=None, held_only=False):
        self.window, self.batch = window, batch
        if cache and cache.exists():
            train, held = torch.load(cache)
        else:
            encode = lambda texts: {kind: torch.tensor(base.encode(text)) for kind, text in texts.items()}
            train, held = self.texts(pathlib.Path(corpora))
            train, held = encode({} if held_only else train), encode(held)
            if cache and not held_only:
                torch.save((train, held), cache)
        self.held = {kind: [(w, None) for w in self.cut(ids)] for kind, ids in held.items()}
        self.pools = {kind: self.cut(ids) for kind, ids in train.items()}
        for kind, pool in self.pools.items():
            random.Random(2).shuffle(pool)
        self.kinds = list(self.pools)

    def texts(self, corpora):
        """(to train on, held out): kind -> text"""
        read = lambda name: (corpora / name).read_text(encoding="utf8")
        lines = lambda name: [json.loads(line) for line in read(name).splitlines() if line]
        wiki = read("wikitext2/wiki.test.raw")
        cut = wiki.index("\n = ", int(len(wiki) * 0.88))  # a heading: of an article or within one
        novels = sorted(p.name for p in (corpora / "books").iterdir() if p.name not in HELD_BOOKS)
        body = lambda name: read(f"books/{name}")[5000:-5000]
        sums = lines("gsm8k/test.jsonl")
        tales = lines("fairytaleqa/train.jsonl")
        rng = random.Random(1)
        some = lambda name: (lambda text: text[(at := rng.randrange(max(1, len(text) - 60000))) : at + 60000])(body(name))
        chats = [chat(r["question"], r["answer"]) for r in sums[:-160]]
        chats += [tale_chat(r, rng) for r in tales] + [note_chat(body(rng.choice(novels)), rng) for _ in range(250)]
        rng.shuffle(chats)
        train = {"wiki": wiki[:cut], "novels": "\n".join(map(some, novels)), "chats": "".join(chats)}
        held = {
            "wiki": wiki[cut:],
            "novels": "\n".join(body(name)[20000:45000] for name in HELD_BOOKS),
            "chats": "".join(chat(r["question"], r["answer"]) for r in sums[-160:]),
        }
        return train, held

    def cut(self, ids):
        count = len(ids) // self.window
        return list(ids[: count * self.window].reshape(count, self.window))

    def train(self, step):
        windows = range(step * self.batch, (step + 1) * self.batch)
        return torch.stack([self.at(n) for n in windows]), None

    def at(self, n):
        pool = self.pools[self.kinds[n % 3]]
        return pool[(n // 3) % len(pool)]

    def held_out(self, kind, count):
        """Evenly spread."""
        windows = self.held[kind]
        return [windows[i * len(windows) // count] for i in range(count)]


def tale_chat(tale, rng):
    """A section or two of a fairy tale, then questions about it."""
    asked = rng.choice(tale["questions"])
    section = tale["sections"].get(asked["section"].split(",")[0].strip(), "")
    same = [q for q in tale["questions"] if q["section"] == asked["section"]][:3]
    turns = [text for q in same for text in (q["question"], q["answer"])]
    return chat(f"{section}\n\n{turns[0]}", *turns[1:])


THINGS = ["code word", "room number", "key", "telephone number", "password", "ticket", "favourite colour", "date of birth"]
NAMES = ["Anna", "Mr. Brown", "the cook", "Captain Reed", "Oliver", "the red house", "Maria", "Professor Lind", "the old ferry", "Kato"]
VALUES = ["amber", "a walnut", "silver", "thistle", "Lisbon", "violet", "harbour", "maple", "copper", "winter"]


def note_chat(book, rng):
    """A passage with notes in it, then questions for two of them."""
    at = rng.randrange(len(book) - 3000)
    passage = book[at : at + rng.randrange(500, 1600)]
    facts = {}
    for _ in range(rng.randrange(2, 5)):
        value = str(rng.randrange(10, 99999)) if rng.random() < 0.7 else rng.choice(VALUES)
        facts[rng.choice(THINGS), rng.choice(NAMES)] = value
    for (thing, name), value in facts.items():
        place = passage.find(". ", rng.randrange(len(passage)))
        passage = passage[: place + 2] + f"The {thing} of {name} is {value}. " + passage[place + 2 :]
    turns = []
    for thing, name in rng.sample(list(facts), 2 if len(facts) > 1 else 1):
        turns += [f"What is the {thing} of {name}?", f"The {thing} of {name} is {facts[thing, name]}."]
    return chat(f"{passage}\n\n{turns[0]}", *turns[1:])


class Fable:
    """Fable's own training samples, weighted as in its training; held out: stories and tales it never saw."""

    def __init__(self, base, pool, window, batch, corpora):
        here = os.getcwd()
        os.chdir(pool)  # train.py reads tokenizer.json and pool.json of the current folder
        sys.argv = ["train.py", "0"]
        folder = pathlib.Path(__file__).parents[2] / "demo/models/fable/training"
        sys.path.insert(0, str(folder))
        import train

        os.chdir(here)
        torch.set_num_threads(int(os.environ.get("THREADS", 2)))
        self.made, self.window, self.batch = train, window, batch
        stories = [torch.tensor([0, *ids])[:window] for ids, _ in train.val_stories if len(ids) > 100]
        tales = [json.loads(line) for line in (pathlib.Path(corpora) / "fairytaleqa/val.jsonl").read_text(encoding="utf8").splitlines()]
        tales = [torch.tensor([0, *base.encode("\n".join(t["sections"].values()))])[:window] for t in tales]
        notes = [(ids, answer.float()) for ids, answer in self.notes(480, 32)]
        self.held = {"stories": [(w, None) for w in stories], "tales": [(w, None) for w in tales if len(w) == window], "notes": notes}

    def train(self, step):
        self.made.rnd.seed(1000 + step)
        long = step % 4 == 3  # a quarter of the steps: windows four times as long
        x, _, w = self.made.batch(max(1, self.batch // 4), 4 * self.window) if long else self.made.batch(self.batch, self.window)
        return x, w

    held_out = General.held_out

    def notes(self, T, count):
        """[(ids, does the position predict a token of a note's value)]"""
        self.made.rnd.seed(5)
        tasks = [self.made.note_task(T) for _ in range(count)]
        return [(torch.tensor([i for i, _ in task]), torch.tensor([w == 6.0 for _, w in task][1:] + [False])) for task in tasks]

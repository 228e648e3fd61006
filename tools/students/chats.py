"""A model's own chats: the user's turn sampled from the template's opening, then the answer."""
import torch

from data import SYSTEM

ROWS = 32
LONGEST = 200  # tokens of a turn


@torch.inference_mode()
def own_chats(base, count, window, log):
    """`count` windows of `window` tokens, chats one after another."""
    torch.manual_seed(7)
    tokens = []
    while len(tokens) < count * window:
        for chat in sample(base):
            tokens += chat
        log(f"{len(tokens)} tokens of own chats, the last: {base.tokenizer.decode(tokens[-160:])!r}")
    return [torch.tensor(tokens[i * window : (i + 1) * window]) for i in range(count)]


def sample(base):
    """ROWS chats side by side, at temperature 1."""
    end = base.tokenizer.token_to_id("<|im_end|>")
    opening = base.encode(SYSTEM + "<|im_start|>user\n")
    between, close = base.encode("<|im_end|>\n<|im_start|>assistant\n"), base.encode("<|im_end|>\n")
    chats = [Chat(opening, [between, close], end) for _ in range(ROWS)]
    caches = [Cache() for _ in range(base.L)]
    for at in range(len(opening) + 2 * LONGEST + len(between)):
        ids = torch.tensor([[chat.next_input(at)] for chat in chats])
        logits = step(base, ids, at, caches)
        choice = torch.multinomial(logits.softmax(-1), 1)[:, 0].tolist()
        for chat, token in zip(chats, choice):
            chat.take(token, at)
        if all(chat.done for chat in chats):
            break
    return [chat.tokens for chat in chats]


class Chat:
    """Tokens so far, and where a turn ends those that the template puts there."""

    def __init__(self, opening, ends, end):
        self.tokens, self.ends, self.end, self.done, self.turn = list(opening), list(ends), end, False, 0

    def next_input(self, at):
        return self.tokens[at] if at < len(self.tokens) else self.end

    def take(self, token, at):
        """`token` was sampled after position `at`."""
        if self.done or at + 1 < len(self.tokens):
            return
        self.turn += 1
        if token != self.end and self.turn < LONGEST:
            return self.tokens.append(token)
        self.tokens += self.ends.pop(0)
        self.turn, self.done = 0, not self.ends


class Cache:
    """Keys and values of a layer, rotated: [rows, G, T, E]."""

    def __init__(self):
        self.keys = self.values = None

    def add(self, k, v):
        self.keys, self.values = (new if old is None else torch.cat([old, new], 2) for old, new in ((self.keys, k), (self.values, v)))
        return self.keys, self.values


def step(base, ids, at, caches):
    """[rows, V]: what follows one token of each chat."""
    angle = torch.tensor([[at]]) * base.theta ** (-torch.arange(0, base.E, 2) / base.E)
    rotation = angle.cos().float(), angle.sin().float()
    x = base.embed(ids)
    for layer, cache in enumerate(caches):
        x = base.layer(x, layer, rotation, cache=cache)
    return base.linear(base.final(x[:, 0]), base.output()).float()

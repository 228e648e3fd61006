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
    cache = [[None, None] for _ in range(base.L)]
    for at in range(len(opening) + 2 * LONGEST + len(between)):
        ids = torch.tensor([[chat.next_input(at)] for chat in chats])
        logits = step(base, ids, at, cache)
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


def step(base, ids, at, cache):
    """[rows, V]: one token of each chat."""
    angle = torch.tensor([[at]]) * base.theta ** (-torch.arange(0, base.E, 2) / base.E)
    rotation = angle.cos().float(), angle.sin().float()
    x = base.embed(ids)
    for layer in range(base.L):
        x = one(base, x, layer, rotation, cache[layer])
    return base.linear(base.final(x[:, 0]), base.output()).float()


def one(base, x, layer, rotation, cache):
    """A layer for one new token: as Base.layer, with a cache of keys and values."""
    from torch.nn import functional

    h = base.normed(x, layer)
    k, v = base.keys_values(x, layer).chunk(2, -1)
    q = base.rotate(base.split(base.linear(h, base.w(layer, "self_attn.q_proj"))), rotation)
    new = base.rotate(base.split(k), rotation), base.split(v)
    for i in range(2):
        part = new[i].to(base.dtype)
        cache[i] = part if cache[i] is None else torch.cat([cache[i], part], 2)
    out = functional.scaled_dot_product_attention(q.to(base.dtype), *cache, enable_gqa=True)
    x = x + base.linear(out.transpose(1, 2).flatten(2), base.w(layer, "self_attn.o_proj"))
    h = base.norm(x, base.w(layer, "post_attention_layernorm")).to(base.dtype)
    up = functional.silu(base.linear(h, base.w(layer, "mlp.gate_proj"))) * base.linear(h, base.w(layer, "mlp.up_proj"))
    return x + base.linear(up, base.w(layer, "mlp.down_proj"))

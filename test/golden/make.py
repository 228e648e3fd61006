"""Writes the golden fixtures <variant>.json next to this file; see README.md.

Author of the numbers: Hugging Face transformers, SwiftKV of swiftkv.py on top. Weights are not stored: `stream` makes
them, here and in checkpoint.ts.
"""
import contextlib
import functools
import json
import math
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

import swiftkv

VERSION = 1
PROMPT = 50
NEW = 24
MARGIN = 0.1  # every greedy step of every fixture is at least this clear (logits)
SPECIAL = 3  # ids below are special (1 = begin, 2 = end): the prompt starts with 1, nothing else uses them

LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
    "rope_type": "llama3",
}


NAMES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "gemma3_text": "Gemma3",
    "granite": "Granite",
    "olmo2": "Olmo2",
    "smollm3": "SmolLM3",
    "phi3": "Phi3",
    "ministral3": "Ministral3",
}


def config(kind, D, F, H, G, V, L=3, **more):
    base = {
        "architectures": [NAMES[kind] + "ForCausalLM"],
        "model_type": kind,
        "hidden_size": D,
        "intermediate_size": F,
        "num_hidden_layers": L,
        "num_attention_heads": H,
        "num_key_value_heads": G,
        "vocab_size": V,
        "hidden_act": "silu",
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if "rope_parameters" not in more:
        base["rope_theta"] = 10000.0
    return {field: value for field, value in (base | more).items() if value is not None}


def swift(kind, K, **more):
    """A config.json as a released SwiftKV checkpoint has it; a field given as None is left out."""
    names = {"architectures": [NAMES[kind] + "SwiftKVForCausalLM"], "model_type": f"{kind}_swiftkv"}
    fields = {"swiftkv": True, "num_key_value_layers": K, "key_value_group_size": 1}
    settings = config(kind, **(fields | more)) | names
    return {field: value for field, value in settings.items() if value is not None}


LLAMA3_SHAPE = dict(kind="llama", D=64, F=100, H=4, G=2, V=163)

# name: (dtype of the checkpoint, first seed tried, config.json)
VARIANTS = {
    "llama": ("F32", 1, config("llama", D=48, F=76, H=3, G=3, V=157)),
    "llama-gqa-tied": ("F32", 1, config("llama", D=48, F=92, H=6, G=2, V=151, tie_word_embeddings=True)),
    "llama-linear": ("F32", 1, config("llama", D=48, F=76, H=6, G=2, V=149, rope_scaling={"type": "linear", "factor": 4.0})),
    "llama3": ("F32", 1, config(**LLAMA3_SHAPE, rope_theta=500.0, rope_scaling=LLAMA3)),
    "llama3-parameters": ("F32", 1, config(**LLAMA3_SHAPE, rope_parameters=LLAMA3 | {"rope_theta": 500.0})),
    "llama-yarn": ("F32", 1, config(**LLAMA3_SHAPE, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32})),
    "llama-bias": ("F32", 1, config("llama", D=40, F=84, H=5, G=1, V=139, attention_bias=True, mlp_bias=True)),
    "llama-f16": ("F16", 1, config("llama", D=56, F=92, H=7, G=1, V=167)),
    "llama-bf16": ("BF16", 1, config("llama", D=56, F=92, H=7, G=7, V=167)),
    "llama-blocks": ("F32", 1, config("llama", D=96, F=160, H=6, G=2, V=173, L=2)),
    "mistral": ("F32", 1, config("mistral", D=40, F=68, H=4, G=1, V=157, head_dim=24, sliding_window=16)),
    "qwen2": ("F32", 1, config("qwen2", D=72, F=84, H=3, G=1, V=151, tie_word_embeddings=True, rms_norm_eps=1e-6)),
    "qwen2-window": ("F32", 1, config("qwen2", D=40, F=68, H=5, G=1, V=149, use_sliding_window=True, sliding_window=12, max_window_layers=1)),
    "qwen3": ("F32", 1, config("qwen3", D=52, F=84, H=4, G=2, V=163, head_dim=16, tie_word_embeddings=True, rms_norm_eps=1e-6, attention_bias=False, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})),
}

GEMMA = dict(kind="gemma3_text", D=40, F=68, H=4, G=2, V=157, L=7, head_dim=24, hidden_act=None, hidden_activation="gelu_pytorch_tanh", sliding_window=12, query_pre_attn_scalar=30, tie_word_embeddings=True, rms_norm_eps=1e-6)
GEMMA_ROPE = {
    "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
}
GEMMA_TYPES = ["full_attention" if layer % 6 == 5 else "sliding_attention" for layer in range(7)]
LONGROPE = {
    "long_factor": [1.1, 1.4, 1.9, 2.5, 3.1, 3.9, 4.4],
    "short_factor": [1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.8],
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "original_max_position_embeddings": 20,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "llama_4_scaling_beta": 0.3,
}
VARIANTS |= {
    "llama-head-20": ("F32", 1, config("llama", D=60, F=76, H=3, G=1, V=157)),
    "qwen3-head-36": ("F32", 1, config("qwen3", D=52, F=84, H=4, G=2, V=163, head_dim=36, attention_bias=True)),
    "gemma3": ("F32", 1, config(**GEMMA, rope_theta=5000.0, rope_local_base_freq=500.0, rope_scaling={"rope_type": "linear", "factor": 4.0})),
    "gemma3-parameters": ("F32", 1, config(**GEMMA, rope_parameters=GEMMA_ROPE, layer_types=GEMMA_TYPES)),
    "granite": ("F32", 1, config("granite", D=48, F=76, H=6, G=2, V=149, embedding_multiplier=6.0, attention_multiplier=0.2, residual_multiplier=0.3, logits_scaling=0.7)),
    "olmo2": ("F32", 1, config("olmo2", D=48, F=76, H=6, G=2, V=149)),
    "smollm3": ("F32", 1, config("smollm3", D=64, F=100, H=4, G=2, V=163, L=5, pad_token_id=0, rope_theta=500.0)),
    "phi3": ("F32", 1, config("phi3", D=80, F=76, H=4, G=2, V=157, pad_token_id=0, partial_rotary_factor=0.7, sliding_window=30, original_max_position_embeddings=32, rope_scaling={"type": "longrope"} | LONGROPE)),
    "phi3-short": ("F32", 1, config("phi3", D=80, F=76, H=4, G=2, V=157, pad_token_id=0, partial_rotary_factor=0.7, original_max_position_embeddings=128, rope_scaling={"type": "su", "original_max_position_embeddings": 128} | LONGROPE)),
    "ministral3": ("F32", 1, config("ministral3", D=40, F=68, H=4, G=1, V=157, head_dim=24, rope_parameters=YARN)),
}

WINDOW = dict(use_sliding_window=True, sliding_window=12, max_window_layers=3)
QWEN2_SWIFT = dict(kind="qwen2", D=48, F=84, H=3, G=1, V=151, L=6, K=2, key_value_group_size=2, rms_norm_eps=1e-6)
QWEN3_ROPE = {"rope_type": "default", "rope_theta": 1000000.0}

# Student and teacher must both be clear: a search from seed 1 takes minutes, so the seeds found stand here.
SWIFTKV = {
    "llama-swiftkv": ("F32", 6905, swift("llama", D=48, F=76, H=6, G=3, V=157, L=6, K=3)),
    "llama-swiftkv-g3": ("F32", 2405, swift(**LLAMA3_SHAPE, L=5, K=2, key_value_group_size=3, tie_word_embeddings=True, rope_theta=500.0, rope_scaling=LLAMA3)),
    "llama-swiftkv-k0": ("F32", 152, swift("llama", D=48, F=92, H=6, G=2, V=149, L=4, K=0, key_value_group_size=2, swiftkv=None, attention_bias=True)),
    "qwen2-swiftkv": ("F32", 5739, swift(**QWEN2_SWIFT)),
    "qwen2-swiftkv-window": ("F32", 2303, swift(**QWEN2_SWIFT, **WINDOW)),
    "qwen3-swiftkv": ("F32", 10982, swift("qwen3", D=56, F=84, H=4, G=2, V=163, L=4, K=3, key_value_group_size=None, head_dim=24, tie_word_embeddings=True, rms_norm_eps=1e-6, attention_bias=False, rope_parameters=QWEN3_ROPE)),
}
VARIANTS |= SWIFTKV

# Taken here, before `wide` gives the name torch.float32 another meaning.
STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


# ---- the weights: checkpoint.ts implements exactly this ----------------------------------------------------------------


def fnv1a(text):
    state = 0x811C9DC5
    for byte in text.encode():
        state = ((state ^ byte) * 0x01000193) & 0xFFFFFFFF
    return state


def stream(seed, name, count):
    """`count` numbers in [-1, 1): x <- 1664525 x + 1013904223 mod 2^32 from fnv1a("seed/name"), each as 2 x / 2^32 - 1."""
    factors, offsets = jumps(count)
    x = factors * np.uint32(fnv1a(f"{seed}/{name}")) + offsets
    return x * (2.0 / 4294967296.0) - 1.0


@functools.cache
def jumps(count):
    """x after i + 1 steps is factors[i] * x + offsets[i] (mod 2^32): a^(i+1) and c (1 + a + ... + a^i)."""
    a, c = np.uint32(1664525), np.uint32(1013904223)
    factors = np.multiply.accumulate(np.full(count, a), dtype=np.uint32)
    sums = np.add.accumulate(np.append(np.uint32(1), factors[:-1]), dtype=np.uint32)
    return factors, sums * c


def tensor(seed, name, shape, dtype):
    noise = stream(seed, name, math.prod(shape))
    if "norm" in name:
        noise = 1.0 + 0.25 * noise
    elif name.endswith(".bias"):
        noise = 0.5 * noise
    else:
        noise = (3.0 / math.sqrt(shape[-1])) * noise
    stored = torch.from_numpy(noise).to(STORED["F32"]).to(STORED[dtype])
    return stored.to(torch.float64).reshape(shape)


def prompt(seed, V):
    noise = stream(seed, "prompt", PROMPT)
    ids = [SPECIAL + math.floor((u + 1.0) / 2.0 * (V - SPECIAL)) for u in noise]
    return [1] + ids[1:]


# ---- the numbers -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def wide():
    """Model code upcasts norms, softmax and RoPE to float32 by name. In here that name means float64."""
    names = {"float32": torch.float32, "float": torch.float}
    method = torch.Tensor.float
    try:
        for name in names:
            setattr(torch, name, torch.float64)
        torch.Tensor.float = torch.Tensor.double
        torch.set_default_dtype(torch.float64)
        yield
    finally:
        for name, value in names.items():
            setattr(torch, name, value)
        torch.Tensor.float = method
        torch.set_default_dtype(names["float32"])


def read_config(settings):
    """Through a config.json on disk, as a user's checkpoint goes."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "config.json").write_text(json.dumps(settings))
        return AutoConfig.from_pretrained(folder)


def build(settings):
    base = swiftkv.teacher_settings(settings) if is_swift(settings) else settings
    model = AutoModelForCausalLM.from_config(read_config(base), attn_implementation="eager").eval()
    assert model.config._attn_implementation == "eager"
    if is_swift(settings):
        swiftkv.extend(model, settings)
    return model


def fill(model, seed, dtype, cast):
    state = model.state_dict()
    tied = model.config.tie_word_embeddings
    weights = {n: tensor(seed, n, tuple(t.shape), dtype).to(cast) for n, t in state.items() if not (tied and n == "lm_head.weight")}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and (missing == ["lm_head.weight"] if tied else not missing), (missing, unexpected)
    if tied:
        assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


@torch.no_grad()
def logits(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def follow(ask, ids):
    """24 greedy tokens, their log-probabilities and margins, or None where a step is too close or the tokens too dull."""
    tokens, logprobs, margins = [], [], []
    for _ in range(NEW):
        row = ask(ids + tokens)[-1]
        top = torch.topk(row, 2).values
        tokens.append(int(row.argmax()))
        logprobs.append(float(torch.log_softmax(row, -1)[tokens[-1]]))
        margins.append(float(top[0] - top[1]))
        if margins[-1] < MARGIN or tokens[-1] < SPECIAL:
            return None
    return {"tokens": tokens, "logprobs": logprobs, "margins": margins} if len(set(tokens)) >= NEW // 2 else None


def measure(ask, ask32, ids):
    """What a fixture holds of one model: `ask` is it in float64, `ask32` in real float32."""
    with wide():
        greedy = follow(ask, ids)
        if greedy is None:
            return None
        first = ask(ids)
        assert first.dtype == torch.float64
        given = torch.log_softmax(first, -1)
        scores = [None] + [float(given[i - 1, ids[i]]) for i in range(1, PROMPT)]
    # The untouched model in real float32 must agree: `wide` changed precision, nothing else.
    gap = (ask32(ids).double() - first).abs().max().item()
    assert 1e-9 < gap < 1e-3, gap
    return {"logits": first[-1].tolist(), "logprobs": scores, "greedy": greedy, "float32Gap": gap}


def run(settings, seed, dtype):
    """All that one fixture holds, or None where a greedy step is too close or the tokens are too dull."""
    ids = prompt(seed, settings["vocab_size"])
    plain = build(settings)
    fill(plain, seed, dtype, torch.float32)
    with wide():
        model = build(settings)
        fill(model, seed, dtype, torch.float64)
    numbers = {"prompt": ids}
    for part, ask in asked(settings).items():
        measured = measure(functools.partial(ask, model), functools.partial(ask, plain), ids)
        if measured is None:
            return None
        numbers |= {part: measured} if part else measured
    return numbers


def asked(settings):
    """Part of the fixture -> how to ask the model: a SwiftKV checkpoint is a student, and its own teacher."""
    return {"": swiftkv.logits, "teacher": logits} if is_swift(settings) else {"": logits}


def is_swift(settings):
    return settings["model_type"].endswith("_swiftkv")


def check_swift(settings, seed):
    """With K = L - 1 and the teacher's weights, swiftkv.py must give what transformers gives."""
    last = settings["num_hidden_layers"] - 1
    with wide():
        model = build(settings | {"num_key_value_layers": last, "key_value_group_size": 1})
        fill(model, seed, "F32", torch.float64)
        swiftkv.copy_teacher(model)
        ids = prompt(seed, settings["vocab_size"])
        gap = (swiftkv.logits(model, ids) - logits(model, ids)).abs().max().item()
    assert gap < 1e-12, gap


def write(name):
    dtype, seed, settings = VARIANTS[name]
    if is_swift(settings):
        check_swift(settings, seed)
    while (numbers := run(settings, seed, dtype)) is None:
        seed += 1
    made = f"torch {torch.__version__} cpu float64, transformers {transformers.__version__}, numpy {np.__version__}"
    fixture = {"version": VERSION, "variant": name, "made": made, "seed": seed, "dtype": dtype, "config": settings} | numbers
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in fixture.items())
    pathlib.Path(__file__).with_name(f"{name}.json").write_text("{\n" + lines + "\n}\n")
    greedy = numbers["greedy"]
    print(f"{name:20} seed {seed:3} least margin {min(greedy['margins']):.3f} float32 gap {numbers['float32Gap']:.1e} tokens {greedy['tokens']}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or VARIANTS:
        write(name)

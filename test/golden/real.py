"""Writes golden tokens of real models, <name>.json next to this file: see README.md.

    venv/bin/python test/golden/real.py gemma3-270m models/gemma3-270m/gemma-3-270m-q4_k_m.gguf

Author of the numbers: transformers in float32, on the weights that PyPI's `gguf` makes of the file. The same once more
with the scales that the engine rounds to f16 (docs/formats.md): the difference is what the engine may differ by.
"""
import hashlib
import json
import pathlib
import sys

import gguf
import numpy as np
import torch
import transformers
from gguf.quants import Q4_K
from transformers import AutoModelForCausalLM, AutoTokenizer

NEW = 24
TALE = (
    "The lighthouse keeper wrote one line into his book every evening: the wind, the ships he had seen, and what he "
    "had eaten. On the day the fog came he wrote that he had seen nothing, and that nothing had seen him. "
)
PROMPTS = {
    "gemma3-270m": {
        "sentence": "The capital of France is",
        "list": "Ingredients for pancakes:\n- flour\n- milk\n-",
        "scripts": "Guten Morgen heißt auf Englisch \"good morning\". Доброе утро по-английски: \"",
        # Longer than the window of 512 tokens that five layers of six have.
        "window": TALE * 13 + "On the next day the fog was gone, and he wrote that",
    },
    "qwen2.5-coder-1.5b-instruct": {
        "code": "def fibonacci(n: int) -> int:\n    \"\"\"The n-th Fibonacci number.\"\"\"\n",
        "chat": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "Which keyword defines a function in Python? One word.<|im_end|>\n<|im_start|>assistant\n",
    },
}


def to_f16(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)


def q4_k(blocks: np.ndarray) -> np.ndarray:
    """[blocks, 144] bytes -> [blocks, 256] values with f16 scales and minima."""
    d, dmin = (blocks[:, at : at + 2].copy().view(np.float16).astype(np.float32) for at in (0, 2))
    scales, minima = Q4_K.get_scale_min(blocks[:, 4:16])
    scale, minimum = to_f16(d * scales.astype(np.float32)), to_f16(dmin * minima.astype(np.float32))
    bytes_ = blocks[:, 16:].reshape(-1, 4, 1, 32)
    q = ((bytes_ >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1)) & 15).reshape(-1, 8, 32).astype(np.float32)
    return (scale[..., None] * q - minimum[..., None]).reshape(-1, 256)


def q6_k(blocks: np.ndarray) -> np.ndarray:
    """[blocks, 210] bytes -> [blocks, 256] values with f16 scales."""
    scales = blocks[:, 192:208].copy().view(np.int8).astype(np.float32)
    d = blocks[:, 208:].copy().view(np.float16).astype(np.float32)
    exact = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q6_K).reshape(-1, 16, 16)
    product = (d * scales)[..., None]
    q = np.divide(exact, product, out=np.zeros_like(exact), where=product != 0).round()
    return (to_f16(product) * q).reshape(-1, 256)


ROUNDED = {gguf.GGMLQuantizationType.Q4_K: q4_k, gguf.GGMLQuantizationType.Q6_K: q6_k}


def rounded(data: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    if kind not in ROUNDED:
        return gguf.quants.dequantize(data, kind)
    size = gguf.GGML_QUANT_SIZES[kind][1]
    values = ROUNDED[kind](np.ascontiguousarray(data).reshape(-1, size))
    shape = (*data.shape[:-1], data.shape[-1] // size * 256)
    exact = gguf.quants.dequantize(data, kind).reshape(shape)
    assert np.abs(values.reshape(shape) - exact).max() <= 2**-10 * np.abs(exact).max()
    return values.reshape(shape)


def load(path: pathlib.Path, dequantise) -> torch.nn.Module:
    gguf.dequantize = dequantise
    return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()


@torch.no_grad()
def greedy(model: torch.nn.Module, prompt: list[int]) -> dict:
    ids, tokens, margins = torch.tensor([prompt]), [], []
    state = None
    for _ in range(NEW):
        out = model(ids, past_key_values=state, use_cache=True)
        state, logits = out.past_key_values, out.logits[0, -1].double()
        best = logits.topk(2)
        tokens.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 4))
        ids = torch.tensor([[tokens[-1]]])
    return {"tokens": tokens, "margins": margins}


@torch.no_grad()
def score(model: torch.nn.Module, tokens: list[int]) -> list[float]:
    """Natural log-probability of every token but the first."""
    logits = model(torch.tensor([tokens])).logits[0, :-1]
    chosen = torch.tensor(tokens[1:])[:, None]
    return (logits.gather(1, chosen)[:, 0].double() - logits.double().logsumexp(-1)).tolist()


def main() -> None:
    name, path = sys.argv[1], pathlib.Path(sys.argv[2])
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    exact = load(path, gguf.quants.dequantize)
    cases = []
    for title, text in PROMPTS[name].items():
        prompt = tokenizer(text)["input_ids"]
        reply = greedy(exact, prompt)
        cases.append({"name": title, "text": text, "prompt": prompt, **reply, "logprobs": score(exact, prompt + reply["tokens"])})
        print(title, len(prompt), repr(tokenizer.decode(reply["tokens"])), min(reply["margins"]), file=sys.stderr)
    del exact
    near = load(path, rounded)
    for case in cases:
        again = np.array(score(near, case["prompt"] + case["tokens"]))
        case["rounding"] = round(float(np.abs(again - case["logprobs"]).max()), 5)
        case["logprobs"] = [round(value, 5) for value in case["logprobs"]]
        print(case["name"], case["rounding"], file=sys.stderr)
    made = f"transformers {transformers.__version__}, torch {torch.__version__}, gguf 0.19.0"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    result = {"version": 1, "made": made, "sha256": digest, "cases": cases}
    pathlib.Path(__file__).with_name(f"{name}.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")


main()

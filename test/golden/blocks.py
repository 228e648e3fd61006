"""Writes blocks.json next to this file: random blocks of every GGUF type, and the float32 numbers that PyPI's gguf reads
from them. The f16 fields of a block are random but small; other bytes are any.
"""
import base64
import json
import pathlib

import gguf
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type

BLOCKS = 2
# Byte offsets of the f16 fields.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q8_0": [0], "Q5_0": [0], "Q5_1": [0, 2],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}


def draw(rng, name, size):
    block = rng.integers(0, 256, size, dtype=np.uint8)
    for offset in HALVES[name]:
        block[offset : offset + 2] = np.frombuffer(np.float16(rng.normal() * 0.01).tobytes(), np.uint8)
    if name == "MXFP4":
        block[0] = rng.integers(110, 130)
    return block


def text(array):
    return base64.b64encode(array.tobytes()).decode()


def main():
    rng = np.random.default_rng(1)
    made = {}
    for name in HALVES:
        _, size = GGML_QUANT_SIZES[Type[name]]
        blocks = np.stack([draw(rng, name, size) for _ in range(BLOCKS)])
        values = gguf.quants.dequantize(blocks, Type[name]).astype(np.float32)
        made[name] = {"blocks": text(blocks), "values": text(values)}
    version = __import__("importlib.metadata").metadata.version("gguf")
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"made": f"gguf {version}", "types": made}, indent=1) + "\n")


main()

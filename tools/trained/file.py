"""Writes the weights of a cache system as a safetensors file: docs/kv.md, "Trained files"."""

import json

import numpy as np

TYPES = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32"}


def write(path, tensors, card):
    """tensors: name to an array of float16 or float32, in file order; card: the metadata, all texts."""
    header, end = {"__metadata__": card}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": TYPES[values.dtype], "shape": list(values.shape), "data_offsets": [end, end := end + values.nbytes]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values).tobytes())

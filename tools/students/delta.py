"""Student files as src/load/student.ts has them."""
import json

import numpy as np
import torch


def write(path, base, K, matrices, made, distilled=None):
    """`matrices`: layer -> {"kv", "bias", "q" where trained}; `made`, `distilled`: what src/api.ts calls CalibrationInfo, DistillationInfo."""
    card = {"version": 1, "name": base.name, "base": base.hash, "swiftkv": {"layers": K, "group": 1}, "made": made, "distilled": distilled}
    header, parts, end = {"__metadata__": {"format": "pt", "longprompt": json.dumps(card)}}, [], 0
    for layer, m in matrices.items():
        at = f"model.layers.{layer}.self_attn"
        kv, bias = m["kv"].numpy().astype(np.float16), m["bias"].numpy().astype(np.float32)
        half = len(kv) // 2
        for name, values in (("k", kv[:half]), ("v", kv[half:])):
            parts.append((f"{at}.{name}_proj_swiftkv.weight", "F16", values))
        for name, values in (("k", bias[:half]), ("v", bias[half:])):
            parts.append((f"{at}.{name}_proj_swiftkv.bias", "F32", values))
    for layer, m in matrices.items():
        if "q" in m:
            parts.append((f"model.layers.{layer}.self_attn.q_proj_swiftkv.weight", "F16", m["q"].numpy().astype(np.float16)))
    for name, dtype, values in parts:
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [end, end := end + values.nbytes]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for *_, values in parts:
            file.write(np.ascontiguousarray(values).tobytes())


def read(path):
    """(card, layer -> {"kv", "bias", "q" where trained}) as float32."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    card = json.loads(header.pop("__metadata__")["longprompt"])
    types = {"F16": np.float16, "F32": np.float32}

    def tensor(name):
        begin, end = header[name]["data_offsets"]
        values = np.frombuffer(raw[8 + size + begin : 8 + size + end], types[header[name]["dtype"]])
        return torch.from_numpy(values.astype(np.float32)).reshape(header[name]["shape"])

    matrices = {}
    for layer in sorted({int(name.split(".")[2]) for name in header}):
        name = lambda kind, part: f"model.layers.{layer}.self_attn.{kind}_proj_swiftkv.{part}"
        both = lambda part: torch.cat([tensor(name("k", part)), tensor(name("v", part))])
        matrices[layer] = {"kv": both("weight"), "bias": both("bias")}
        if name("q", "weight") in header:
            matrices[layer]["q"] = tensor(name("q", "weight"))
    return card, matrices

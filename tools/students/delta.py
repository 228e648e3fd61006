"""Student files as src/load/student.ts has them."""
import json

import numpy as np


def write(path, base, K, matrices, made):
    """`matrices`: layer -> {"kv", "bias"}; `made`: CalibrationInfo."""
    card = {"version": 1, "name": base.name, "base": base.hash, "swiftkv": {"layers": K, "group": 1}, "made": made}
    header, parts, end = {"__metadata__": {"format": "pt", "longprompt": json.dumps(card)}}, [], 0
    for layer, m in matrices.items():
        at = f"model.layers.{layer}.self_attn"
        kv, bias = m["kv"].numpy().astype(np.float16), m["bias"].numpy().astype(np.float32)
        half = len(kv) // 2
        for name, values in (("k", kv[:half]), ("v", kv[half:])):
            parts.append((f"{at}.{name}_proj_swiftkv.weight", "F16", values))
        for name, values in (("k", bias[:half]), ("v", bias[half:])):
            parts.append((f"{at}.{name}_proj_swiftkv.bias", "F32", values))
    for name, dtype, values in parts:
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [end, end := end + values.nbytes]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for *_, values in parts:
            file.write(np.ascontiguousarray(values).tobytes())

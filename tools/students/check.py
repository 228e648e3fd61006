"""Loss and gradients of student.py against test/golden/distil.json, whose forward pass shares no code with it."""
import argparse
import json
import pathlib
import sys

import torch

import student
from base import Base

GOLDEN = pathlib.Path(__file__).parents[2] / "test/golden"
sys.path.insert(0, str(GOLDEN))
from calibrate import tensor  # the seeded weights

fixture = json.loads((GOLDEN / "distil.json").read_text())
case = next(each for each in fixture["cases"] if each["name"] == "llama")
config, K = case["config"], case["layers"]


def weight(name, *shape):
    return torch.from_numpy(tensor(case["seed"], name, *shape)).float()


base = Base.__new__(Base)
D, F, V = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
base.D, base.F, base.V, base.L = D, F, V, config["num_hidden_layers"]
base.H, base.G = config["num_attention_heads"], config["num_key_value_heads"]
base.E, base.epsilon, base.theta = D // base.H, config["rms_norm_eps"], config["rope_theta"]
width = base.G * base.E
shapes = {
    "input_layernorm": (D,), "post_attention_layernorm": (D,), "mlp.gate_proj": (F, D), "mlp.up_proj": (F, D), "mlp.down_proj": (D, F),
    "self_attn.q_proj": (D, D), "self_attn.k_proj": (width, D), "self_attn.v_proj": (width, D), "self_attn.o_proj": (D, D),
}  # fmt: skip
names = {f"model.layers.{i}.{name}.weight": shape for i in range(base.L) for name, shape in shapes.items()}
names |= {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,), "lm_head.weight": (V, D)}
base.weights = {name: weight(name, *shape) for name, shape in names.items()}
base.place(torch.float32)

# The norm's weight lies in the matrices: their gradients are those of the fixture over that weight.
norm = weight("model.norm_swiftkv.weight", D)
own = lambda layer, kind, part, *shape: weight(f"model.layers.{layer}.self_attn.{kind}_proj_swiftkv.{part}", *shape)
matrices = {}
for layer in range(K, base.L):
    pair = lambda part, *shape: torch.cat([own(layer, kind, part, width, *shape) for kind in "kv"])
    matrices[layer] = {"kv": pair("weight", D) * norm, "bias": pair("bias"), "q": own(layer, "q", "weight", D, D)}
made = student.Student(base, K, matrices)
for p in made.parameters().values():
    p.requires_grad_(True)
args = argparse.Namespace(rate=0, betas=fixture["betas"], steps=10, warm_up=1, temperature=fixture["temperature"], hidden=fixture["hiddenWeight"])
run = student.Run(made, args)
gradients = {}
run.update = lambda loss: gradients.update(loss=loss, **{name: p.grad for name, p in run.parameters.items()})
mask = torch.tensor(case["mask"]).float()
student.teach(base, [run], torch.tensor(case["windows"]), torch.cat([mask, torch.zeros(len(mask), 1)], 1), args)

worst = abs(gradients["loss"] / case["steps"][0]["kl"] - 1)
for layer in matrices:
    want = lambda kind, part: torch.tensor(case["gradients"][f"model.layers.{layer}.self_attn.{kind}_proj_swiftkv.{part}"])
    pair = lambda part: torch.cat([want("k", part), want("v", part)])
    for name, expected in (("kv", pair("weight").reshape(2 * width, D) / norm), ("bias", pair("bias")), ("q", want("q", "weight").reshape(D, D))):
        worst = max(worst, ((gradients[f"{layer}.{name}"] - expected).norm() / expected.norm()).item())
print(f"loss and gradients: largest relative error {worst:.1e}")
assert worst < 1e-4

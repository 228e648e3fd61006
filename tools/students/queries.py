"""Queries fitted too: what enters a student's later layer is not what entered the teacher's."""
import torch

RIDGE = 1e-2


@torch.inference_mode()
def refitted(base, K, maps, kept, start=None):
    """Layer -> [H·E, D]. Layer by layer, on what the student so far gives: least squares from its normed input to the queries
    that `start` (default: the model's own matrices) makes of the teacher's, held back towards `start`.

    `kept`: of each window, layer -> [T, D], what enters the teacher's layers.
    """
    start = start or {j: base.weights[f"model.layers.{j}.self_attn.q_proj.weight"] for j in maps}
    rotation = base.rotation(len(kept[0][K]))
    states = [window[K][None] for window in kept]
    shared = [base.norm(x).to(base.dtype) for x in states]
    made = {}
    for j, w in maps.items():
        kv, bias = w[: base.D].T.float().contiguous(), w[base.D].float()
        made[j] = fit(base, start[j], [base.normed(x, j)[0].float() for x in states], [base.normed(window[j], j).float() for window in kept])
        own = lambda h, j=j: base.linear(h, made[j])
        states = [base.layer(x, j, rotation, base.linear(s, kv).float() + bias, own) for x, s in zip(states, shared)]
    return made


def fit(base, start, inputs, wanted):
    """`start` + the change that takes the student's inputs to the queries of the wanted ones."""
    gram = sum((h.T @ h).double() for h in inputs)
    cross = sum((h.T @ ((want - h) @ start.T)).double() for h, want in zip(inputs, wanted))
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    change = torch.cholesky_solve(cross, torch.linalg.cholesky(gram + ridge))
    return start + change.T.float()

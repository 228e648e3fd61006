"""One cache for several layers: whose keys and values, and what their queries must do about it."""
import torch


def paired(base, maps, gram, energy, K, G, values):
    """(layer -> [D + 1, 2·G·E], the same for the layers of a group; layer -> [H·E, D], their queries)

    A pair of channels that RoPE turns is a complex number, and only factors to it commute with the rotation. So each layer's
    pair is c_j · s with one s for the group: the first principal component of the group's pairs, as the fits give them, each
    layer counted by its queries' energy. The conjugate of c_j goes into the layer's queries. `values`: shared in the metric
    of what the output matrices make of them; else their mean.
    """
    shared, queries = {}, {}
    width = base.G * base.E
    for owner in range(K, base.L, G):
        layers = range(owner, owner + G)
        keys, factors = shared_keys(base, [maps[j][:, :width] for j in layers], gram, [energy[j] for j in layers])
        own = [maps[j][:, width:] for j in layers]
        v = in_metric(base, own, [metrics(base, j) for j in layers]) if values else torch.stack(own).mean(0)
        for i, j in enumerate(layers):
            shared[j] = torch.cat([keys, v], 1)
            queries[j] = turned(base, base.weights[f"model.layers.{j}.self_attn.q_proj.weight"], factors[i].conj())
    return shared, queries


def to_complex(heads):
    """[…, E] → […, E/2]: channel e and e + E/2 turn together."""
    return torch.complex(*heads.chunk(2, -1))


def to_real(pairs):
    return torch.cat([pairs.real, pairs.imag], -1)


def shared_keys(base, maps, gram, energy):
    """([D + 1, G·E], [layers, G, E/2]): the group's keys and each layer's factors."""
    z = torch.stack([to_complex(w.unflatten(-1, (base.G, base.E))) for w in maps])  # [layers, D + 1, G, E/2]
    pairs = torch.stack([sum(e.chunk(2, -1)).unflatten(0, (base.G, -1)).sum(1) for e in energy])  # [layers, G, E/2]
    weight = (pairs / pairs.mean()).sqrt()
    u = z * weight[:, None]
    spread = torch.einsum("idgp,dn,jngp->gpij", u, gram.to(u.dtype), u.conj())
    best = torch.linalg.eigh(spread).eigenvectors[..., -1]  # [G, E/2, layers]
    s = torch.einsum("gpi,idgp->dgp", best.conj(), u)
    factors = best.permute(2, 0, 1) / weight
    return to_real(s).flatten(1), factors


def turned(base, q, factors):
    """Rows of a query matrix [H·E, D], each pair times the factor of its key head."""
    heads = q.unflatten(0, (base.H, base.E)).transpose(1, 2)  # [H, D, E]
    by_head = factors.repeat_interleave(base.H // base.G, 0)[:, None].to(torch.complex64)
    return to_real(to_complex(heads) * by_head).transpose(1, 2).flatten(0, 1).contiguous()


def metrics(base, layer):
    """[G, E, E]: Σ over a key head's query heads of OᵀO."""
    o = base.weights[f"model.layers.{layer}.self_attn.o_proj.weight"].double().unflatten(1, (base.H, base.E))
    each = torch.einsum("dhe,dhf->hef", o, o)
    return each.unflatten(0, (base.G, -1)).sum(1)


def in_metric(base, maps, metrics):
    """The values nearest to those of all layers, after their output matrices."""
    heads = [w.unflatten(-1, (base.G, base.E)) for w in maps]
    pulled = sum(torch.einsum("dge,gef->dgf", w, m) for w, m in zip(heads, metrics))
    return torch.einsum("dge,gef->dgf", pulled, torch.linalg.inv(sum(metrics))).flatten(1)

"""SwiftKV on top of a Hugging Face model, for make.py. All tokens go through all layers: nothing is skipped here.

`extend` gives a Llama, Qwen2 or Qwen3 model the tensors of a SwiftKV checkpoint, under their public names. Its own forward
does not see them and stays the dense teacher; `logits` is the student.
"""
import torch
from torch import nn
from torch.nn import functional
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

FIELDS = ("swiftkv", "num_key_value_layers", "key_value_group_size")


def teacher_settings(settings):
    """config.json of the dense model."""
    base = {field: value for field, value in settings.items() if field not in FIELDS}
    names = [name.replace("SwiftKV", "") for name in settings["architectures"]]
    return base | {"model_type": settings["model_type"].removesuffix("_swiftkv"), "architectures": names}


def owners(settings):
    """Owner of the keys and values of each layer from K on: {layer: owner}."""
    L, K, G = settings["num_hidden_layers"], settings["num_key_value_layers"], settings.get("key_value_group_size", 1)
    assert (L - K) % G == 0
    return {layer: layer - (layer - K) % G for layer in range(K, L)}


def twin(linear):
    return nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None)


def extend(model, settings):
    """Adds norm_swiftkv, q_proj_swiftkv of every later layer, k_proj_swiftkv and v_proj_swiftkv of every owner."""
    model.owner_of = owners(settings)
    model.model.norm_swiftkv = type(model.model.norm)(settings["hidden_size"], eps=settings["rms_norm_eps"])
    for layer, owner in model.owner_of.items():
        attention = model.model.layers[layer].self_attn
        for kind in "qkv" if layer == owner else "q":
            setattr(attention, f"{kind}_proj_swiftkv", twin(getattr(attention, f"{kind}_proj")))


def heads(attention, kind, x):
    """[T, D] -> [heads, T, E]; Qwen3 normalises each head of q and k."""
    rows = getattr(attention, f"{kind}_proj_swiftkv")(x).unflatten(-1, (-1, attention.head_dim))
    return getattr(attention, f"{kind}_norm", nn.Identity())(rows).transpose(0, 1)


def mask(config, layer, T):
    """[T, T]: 0 where a query (row) sees a key (column), else -infinity."""
    back = torch.arange(T)[:, None] - torch.arange(T)
    types = getattr(config, "layer_types", None)
    window = config.sliding_window if types and types[layer] == "sliding_attention" else T
    return torch.zeros(T, T).masked_fill((back < 0) | (back >= window), float("-inf"))


def attend(attention, x, key, value, rotation, hidden):
    """[T, D]; `key` is not yet rotated: each layer rotates what it reads."""
    query, key = apply_rotary_pos_emb(heads(attention, "q", x)[None], key[None], *rotation)
    out = functional.scaled_dot_product_attention(query, key, value[None], attn_mask=hidden, enable_gqa=True)
    return attention.o_proj(out[0].transpose(0, 1).flatten(1))


@torch.no_grad()
def logits(model, ids):
    """[T, V]"""
    inner, T = model.model, len(ids)
    x = inner.embed_tokens(torch.tensor(ids))
    rotation = inner.rotary_emb(x, torch.arange(T)[None])
    keys, values = {}, {}
    for i, layer in enumerate(inner.layers):
        hidden = mask(model.config, i, T)
        if i not in model.owner_of:
            x = layer(x[None], attention_mask=hidden[None, None], position_embeddings=rotation)[0]
            continue
        if not keys:
            shared = inner.norm_swiftkv(x)
            for owner in sorted(set(model.owner_of.values())):
                attention = inner.layers[owner].self_attn
                keys[owner], values[owner] = heads(attention, "k", shared), heads(attention, "v", shared)
        owner = model.owner_of[i]
        x = x + attend(layer.self_attn, layer.input_layernorm(x), keys[owner], values[owner], rotation, hidden)
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return model.lm_head(inner.norm(x))


@torch.no_grad()
def copy_teacher(model):
    """The teacher's own weights in every tensor added: with K = L - 1 the student is then the teacher."""
    first = min(model.owner_of)
    model.model.norm_swiftkv.load_state_dict(model.model.layers[first].input_layernorm.state_dict())
    for layer, owner in model.owner_of.items():
        attention = model.model.layers[layer].self_attn
        for kind in "qkv" if layer == owner else "q":
            getattr(attention, f"{kind}_proj_swiftkv").load_state_dict(getattr(attention, f"{kind}_proj").state_dict())

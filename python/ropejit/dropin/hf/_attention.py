"""The forward of a patched attention: projections, one launch, and the attention function."""

import torch

from ropejit.dropin.hf import _caches

_is_compiling = torch.compiler.is_compiling


def forward(self, hidden_states, position_embeddings=None, attention_mask=None, cache=None, **kwargs):
    """Of transformers from 5.24 on."""
    if cache is None and "past_key_values" in kwargs:
        cache = kwargs.pop("past_key_values")
    return _forward(self, hidden_states, position_embeddings, attention_mask, cache, kwargs, "cache")


def forward_of_past_key_values(
    self, hidden_states, position_embeddings=None, attention_mask=None, past_key_values=None, **kwargs
):
    """Of transformers before that, where a paged cache comes as an argument of the attention function."""
    return _forward(self, hidden_states, position_embeddings, attention_mask, past_key_values, kwargs, "past_key_values")


def _forward(self, hidden_states, position_embeddings, attention_mask, cache, kwargs, cache_name):
    layer = self.ropejit_layer
    way = _way(self, layer, hidden_states, position_embeddings)
    if way is not None:
        return way(self, hidden_states, position_embeddings, attention_mask, **{cache_name: cache}, **kwargs)

    shape = hidden_states.shape[:-1]
    batch, tokens = shape
    q, k, v = self.q_proj(hidden_states), self.k_proj(hidden_states), self.v_proj(hidden_states)
    cos, sin = position_embeddings
    if not _is_compiling():
        if not _serves(self, layer, q, k, v, cos, sin):
            return layer.original(
                self, hidden_states, position_embeddings, attention_mask, **{cache_name: cache}, **kwargs
            )
    q, k = _own(q, self.q_proj), _own(k, self.k_proj)
    keys, values, kwargs = _prologue(self, layer, q, k, v, cos, sin, cache, kwargs, cache_name)

    namespace = layer.namespace
    attend = namespace.ALL_ATTENTION_FUNCTIONS.get_interface(
        self.config._attn_implementation, namespace.eager_attention_forward
    )
    attended, weights = attend(
        self, q.view(batch, tokens, -1, layer.head_dim).transpose(1, 2), keys, values, attention_mask,
        dropout=self.attention_dropout if self.training else 0.0, scaling=self.scaling, **layer.family.more(self), **kwargs
    )
    return self.o_proj(attended.reshape(*shape, -1).contiguous()), weights


def _own(x, projection):
    """What a projection gave, to write over: another module than a plain one, or a hook, may have kept it."""
    return x.clone() if projection._forward_hooks or type(projection) is not torch.nn.Linear else x


def _way(self, layer, hidden_states, position_embeddings):
    """The function that serves a call which the launch does not: one that needs gradients, or meets what it was not
    patched for. None: the launch does."""
    seam = layer.seam
    if seam.reason is not None:
        return layer.original if _is_compiling() else _counted(layer, seam.reason)
    if torch.is_grad_enabled() and _needs_gradients(self, hidden_states):
        # A compiler fuses the rotation with what is beside it, and its gradient.
        return layer.original if _is_compiling() else layer.rotating
    if type(hidden_states) is not torch.Tensor and not _is_compiling():
        return _counted(layer, "hidden_states are no plain tensor")
    if hidden_states.dim() != 3 or position_embeddings is None or position_embeddings[0].dim() != 3:
        return layer.original if _is_compiling() else _counted(layer, "other shapes")
    if hidden_states.shape[0] * hidden_states.shape[1] == 0:
        return layer.original if _is_compiling() else _counted(layer, "no tokens")
    if not layer.is_fit(self):
        return layer.original if _is_compiling() else _counted(layer, "norms have hooks, are wrapped, or not whole")
    return None


def _counted(layer, reason):
    layer.seam.falls_through(reason)
    return layer.original


def _needs_gradients(self, hidden_states):
    return hidden_states.requires_grad or any(parameter.requires_grad for parameter in self.parameters())


def _serves(self, layer, q, k, v, cos, sin):
    seam = layer.seam
    if not seam.watches:  # and it was not turned off
        seam.served += 1
        return True
    return seam.serves(
        q.shape[0] * q.shape[1],
        lambda: layer.original_steps(self, q, k, cos, sin),
        lambda: layer.ours_on_copies(self, q, k, v, cos, sin),
    )


def _prologue(self, layer, q, k, v, cos, sin, cache, kwargs, cache_name):
    """Launches the prologue: q is written over, k likewise or to the cache, and v to the cache. k and v as attention is to
    see them, [batch, heads, tokens, head_dim], and its further arguments."""
    batch, tokens = q.shape[:2]
    cos, sin = layer.tables(cos, sin, batch)
    heads = (batch * tokens, -1, layer.head_dim)
    rows = [x.view(heads) for x in (q, k, v)]

    def launch(q, k, v, **where):
        layer.launch(self, q, k, v, cos, sin, **where)

    if cache is not None:
        static = _caches.static_layer_of(layer.caches, cache, self.layer_idx)
        if static is not None and _caches.takes(static, k, v, batch):
            return *_caches.append_to_static(static, layer.pages_of, launch, *rows, batch, tokens), kwargs
    paged = cache if cache_name == "cache" else kwargs.get("cache")
    if paged is not None and batch == 1:
        found = _caches.paged_rows_of(layer.caches, paged, self.layer_idx, kwargs, cache_name == "cache")
        if found is not None and found[0].dtype == k.dtype and found[1].dtype == v.dtype:
            return _caches.append_to_paged(paged, found, self.layer_idx, launch, rows, kwargs, cache_name)

    launch(rows[0], rows[1], None)
    keys, values = (x.view(batch, tokens, -1, layer.head_dim).transpose(1, 2) for x in (k, v))
    if cache is not None and cache_name == "cache":
        keys, values = cache.update(keys, values, self.layer_idx, kwargs=kwargs)
    elif cache is not None:
        keys, values = cache.update(keys, values, self.layer_idx)
    return keys, values, kwargs

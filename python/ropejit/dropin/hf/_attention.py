"""The forward of a patched attention: projections, one launch, and the attention function."""

import functools

import torch
from torch.nn.modules import module as _modules

from ropejit import _torch
from ropejit.dropin.hf import _caches

_is_compiling = torch.compiler.is_compiling


class LaunchFailed(Exception):
    """A launch that was refused, or that the device could not take; nothing but q and k may have been written."""


@functools.lru_cache(maxsize=None)
def served(kind, takes_cache):
    """The class of a patched attention: `kind` with a forward of ropejit's. takes_cache: whether kind's forward calls its
    cache `cache` (transformers from 5.24 on), and not `past_key_values`.

    A class and not a function of the instance: copies and replicas of a module are then served with their own weights, and
    what others hang on an instance (offloading) stands before it as ever."""
    original = kind.forward
    if takes_cache:

        def forward(self, hidden_states, position_embeddings=None, attention_mask=None, cache=None, **kwargs):
            if cache is None and "past_key_values" in kwargs:
                cache = kwargs.pop("past_key_values")
            return _forward(self, original, hidden_states, position_embeddings, attention_mask, cache, kwargs, "cache")
    else:

        def forward(
            self, hidden_states, position_embeddings=None, attention_mask=None, past_key_values=None, **kwargs
        ):
            return _forward(
                self, original, hidden_states, position_embeddings, attention_mask, past_key_values, kwargs,
                "past_key_values",
            )

    return derived(kind, forward)


def derived(kind, forward):
    """A class of kind's name with that forward. Its longer name is what pickle says of a model that is saved whole."""
    made = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__, "__doc__": kind.__doc__})
    made.__qualname__ = f"{kind.__qualname__} as ropejit patched it (undo the patch before the model is saved whole)"
    return made


def _forward(self, original, hidden_states, position_embeddings, attention_mask, cache, kwargs, cache_name):
    def by(way):
        return way(self, hidden_states, position_embeddings, attention_mask, **{cache_name: cache}, **kwargs)

    layer = getattr(self, "ropejit_layer", None)
    if layer is None:  # undone since the call began
        return by(original)
    way = _way(self, layer, original, hidden_states, position_embeddings)
    if way is not None:
        return by(way)
    shape = hidden_states.shape[:-1]
    batch, tokens = shape
    q, k, v = self.q_proj(hidden_states), self.k_proj(hidden_states), self.v_proj(hidden_states)
    cos, sin = position_embeddings
    if torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
        return by(original if _is_compiling() else layer.rotating)
    if not _is_compiling() and not _serves(self, layer, q, k, v, cos, sin):
        return by(original)
    q, k = _own(q, self.q_proj), _own(k, self.k_proj)
    try:
        keys, values, kwargs = _prologue(self, layer, q, k, v, cos, sin, cache, kwargs, cache_name)
    except LaunchFailed as error:
        layer.seam.turn_off(f"launch: found {error}")
        return by(original)

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
    is_plain = type(projection) is torch.nn.Linear and not projection._forward_hooks and "forward" not in projection.__dict__
    return x if is_plain and x.is_contiguous() else x.clone(memory_format=torch.contiguous_format)


def _way(self, layer, original, hidden_states, position_embeddings):
    """The function that serves a call which the launch does not: one that needs gradients, or meets what it was not
    patched for. None: the launch does."""
    reason = layer.seam.reason or _reason(self, layer, hidden_states, position_embeddings)
    if reason is not None:
        if not _is_compiling():
            layer.seam.falls_through(reason)
        return original
    if torch.is_grad_enabled() and _needs_gradients(self, hidden_states):
        # A compiler fuses the rotation with what is beside it, and its gradient.
        return original if _is_compiling() else layer.rotating
    return None


def _reason(self, layer, hidden_states, position_embeddings):
    if not _is_compiling():
        if type(hidden_states) is not torch.Tensor:
            return "hidden_states are no plain tensor"
        if _torch.is_watched() or _torch.has_tangents():
            return "a mode, a transform or a trace looks at every operator"
        if _modules._global_forward_hooks or _modules._global_forward_pre_hooks:
            return "hooks on all modules"
    if torch.is_autocast_enabled(hidden_states.device.type):
        return "autocast"
    if hidden_states.dtype not in layer.dtypes or hidden_states.device.type != layer.device_type:
        return "hidden_states of another dtype or device than kernels take"
    if hidden_states.dim() != 3 or position_embeddings is None or hidden_states.numel() == 0:
        return "other shapes"
    cos = position_embeddings[0]
    if cos.dim() != 3 or cos.shape[1] != hidden_states.shape[1] or cos.shape[0] not in (1, hidden_states.shape[0]):
        return "other shapes"
    return None if layer.is_fit(self) else "norms have hooks, are wrapped, changed, or not whole"


def _needs_gradients(self, hidden_states):
    return hidden_states.requires_grad or any(parameter.requires_grad for parameter in self.parameters())


def _serves(self, layer, q, k, v, cos, sin):
    seam = layer.seam
    if not seam.watches:  # and it was not turned off
        seam.served += 1
        return True
    # A size of each power of two is timed, and stands for those up to it.
    return seam.serves(
        1 << (q.shape[0] * q.shape[1] - 1).bit_length(),
        lambda: layer.original_steps(self, q, k, cos, sin),
        lambda: layer.ours_on_copies(self, q, k, v, cos, sin),
    )


def _prologue(self, layer, q, k, v, cos, sin, cache, kwargs, cache_name):
    """Launches the prologue: q is written over, k likewise or to the cache, and v to the cache. k and v as attention is to
    see them, [batch, heads, tokens, head_dim], and its further arguments."""
    batch, tokens = q.shape[:2]
    cos, sin = layer.tables(cos, sin, batch)
    heads = (batch * tokens, -1, layer.head_dim)
    rows = [q.view(heads), k.view(heads), v.reshape(heads)]

    def launch(q, k, v, **where):
        if _is_compiling():
            layer.launch(self, q, k, v, cos, sin, **where)
            return
        try:
            layer.launch(self, q, k, v, cos, sin, **where)
        except Exception as error:
            raise LaunchFailed(f"{type(error).__name__}: {error}") from error

    if cache is not None:
        static = _caches.static_layer_of(layer.caches, cache, self.layer_idx)
        if static is not None and _caches.takes(static, k, v, batch):
            return *_caches.append_to_static(static, launch, *rows, batch, tokens), kwargs
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

"""Triton kernels of others, out of their packages: Liger and flash-linear-attention (fla)."""

import importlib
import json
import sys
import types

from rivals import Rival, Unavailable, load_file, peers_folder, same_layout, split_full


def source_of(part):
    """What get_peers.py noted of where a part came from."""
    return json.loads((peers_folder() / "manifest.json").read_text())["parts"].get(part, {}).get("source", "unknown")


class TritonRival(Rival):
    part = ""  # in get_peers.py

    def version(self):
        self.module()
        return f"{source_of(self.part)}, triton {importlib.import_module('triton').__version__}"

    def module(self):
        """The module with the kernel, loaded once."""
        if not hasattr(self, "_module"):
            try:
                self._module = self.load(peers_folder() / self.part)
            except ImportError as error:
                raise Unavailable(f"{type(error).__name__}: {error}") from error
        return self._module


class Liger(TritonRival):
    """In place on views of [batch, heads, tokens, head_dim], by LigerRopeFunction.apply; tables in the dtype."""

    name = part = "liger"

    def load(self, folder):
        return load_file("peer_liger_rope", folder / "rope.py")

    def supports(self, cell):
        return cell.in_place and split_full(cell) and cell.shape.k_heads > 0

    def prepare(self, inputs, buffers):
        apply = self.module().LigerRopeFunction.apply
        q, k = buffers.q.transpose(1, 2), buffers.k.transpose(1, 2)
        cos, sin = inputs.full(inputs.dtype)

        def call():
            q_out, k_out = apply(q, k, cos, sin)[:2]
            return q_out.transpose(1, 2), k_out.transpose(1, 2)

        return call


class Fla(TritonRival):
    """fla's fork of flash-attention's kernel, once for q and once for k; tables in the dtype. It tunes itself when
    first called for a shape."""

    name = part = "fla"

    def load(self, folder):
        # Only this module and its helpers: the packages above it import all of fla.
        for name in ("fla", "fla.modules", "fla.ops"):
            package = types.ModuleType(name)
            package.__path__ = [str(folder / name.replace(".", "/"))]
            package.__version__ = "0"  # some of its modules read it
            sys.modules[name] = package
        if str(folder) not in sys.path:
            sys.path.append(str(folder))  # einops
        if not (folder / "fla").is_dir():
            raise Unavailable(f"no fla in {folder}")
        return importlib.import_module("fla.modules.rotary.ops")

    def supports(self, cell):
        return same_layout(cell) and cell.shape.head_dim <= 256

    def prepare(self, inputs, buffers):
        apply, (cos, sin) = self.module().rotary_embedding, inputs.half(inputs.dtype)
        options = {"interleaved": inputs.interleaved, "inplace": inputs.cell.in_place}
        q, k = buffers.q, buffers.k
        if k is None:
            return lambda: (apply(q, cos, sin, **options), None)
        return lambda: (apply(q, cos, sin, **options), apply(k, cos, sin, **options))


RIVALS = [Liger(), Fla()]

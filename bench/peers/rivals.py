"""What is compared: each rival says which cells it supports, and makes calls on the tensors of one.

A call takes nothing and returns the rotated (q, k), k None where the cell has none. A rival that returns new tensors
serves cells in place too: its users have the rotated tensors all the same. One that writes in place does not serve
cells out of place, for its users would have to copy first.
"""

import importlib.util
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


class Unavailable(Exception):
    """What a rival needs is not here."""


class Rival:
    name = ""
    needs_gpu = True

    def version(self):
        """Raises Unavailable where it cannot run."""
        raise NotImplementedError

    def supports(self, cell):
        raise NotImplementedError

    def prepare(self, inputs, buffers):
        """A call on one set of tensors. May be asked for several; what can be shared is kept in `inputs`."""
        raise NotImplementedError


def peers_folder():
    """Where get_peers.py has put things: build/peers, in a bundle peers."""
    for folder in (HERE.parent.parent / "build/peers", HERE.parent.parent / "peers"):
        if (folder / "manifest.json").exists():
            return folder
    raise Unavailable("no build/peers; run get_peers.py")


def load_file(name, path):
    """A single Python file as a module, without what lies beside it."""
    if not path.exists():
        raise Unavailable(f"no {path.name} in {path.parent}")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def split_full(cell):
    return cell.shape.layout == "split_half" and not cell.shape.layout_out


def same_layout(cell):
    return not cell.shape.layout_out


def all_rivals():
    import rivals_torch
    import rivals_triton
    import rivals_unpackaged

    return rivals_torch.RIVALS + rivals_unpackaged.RIVALS + rivals_triton.RIVALS

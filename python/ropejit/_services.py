"""One service of the library for each device, and its errors as Python's."""

import json
import os
import pathlib
import threading

import ropejit_cli
from ropejit import _native

_INVALID_ARGUMENT, _PARSE_ERROR, _UNSUPPORTED = 1, 2, 3

_services = {}
_lock = threading.Lock()


def _renew_lock():
    """In a child of fork, whose parent's other threads may hold it."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class Error(RuntimeError):
    """What the library could not do: code is one of ROPEJIT_... of ropejit.h, log the compiler's own words."""

    def __init__(self, message, code, log):
        super().__init__(message)
        self.code = code
        self.log = log


def python_error(error):
    """What to raise for a NativeError."""
    code, message, log = error.args
    if code in (_INVALID_ARGUMENT, _PARSE_ERROR):
        return ValueError(message.removeprefix("launch: "))
    if code == _UNSUPPORTED:
        return NotImplementedError(message)
    return Error(message, code, log)


def library_path():
    """The libropejit.so of this package, for ctypes and for other languages; its header is ropejit.h."""
    found = sorted(pathlib.Path(__file__).parent.glob("libropejit.so*"))
    return str(found[0]) if found else None


def serve_host(served):
    """Whether CPU tensors are rotated (on the CPU, by the same generated source: slow, for tests) or refused. Returns
    what held before. At first it is whether ROPEJIT_DEVICE is "host"."""
    return _native.allow_host(bool(served))


def host_is_served():
    before = _native.allow_host(False)
    _native.allow_host(before)
    return before


def _options(is_host, index):
    if is_host:
        return {"device": "host"}
    options = {"device": f"cuda:{index}"}
    nvrtc = ropejit_cli.chosen_nvrtc()
    if nvrtc is not None:
        options["nvrtc"] = nvrtc
    return options


def service_for(is_host, index):
    """Kept for the life of the process. Raises NativeError."""
    with _lock:
        key = "host" if is_host else index
        if key not in _services:
            _services[key] = _native.Service(json.dumps(_options(is_host, index)))
        return _services[key]


def forget_unused():
    """Has the library let go of every kernel that no Rotation holds, on all devices. Returns how many. By itself it does
    so beyond 1,000 kernels a device. A Rotation holds the kernels that its calls needed for as long as it lives; so do
    those that the operators and drop-ins made by themselves, the latest 1,024 of each. On a GPU the code of a kernel
    that was launched stays loaded, as a captured graph may hold it."""
    with _lock:
        services = list(_services.values())
    return sum(service.forget_unused() for service in services)


_native.allow_host(os.environ.get("ROPEJIT_DEVICE") == "host")

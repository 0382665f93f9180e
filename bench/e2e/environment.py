"""What a process ran on, for the file of results."""

import datetime
import importlib.util
import pathlib
import platform


def found(options, command):
    import torch
    import transformers

    import ropejit

    made = {
        "command": command,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "ropejit": ropejit.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "liger": importlib.util.find_spec("liger_kernel") is not None,
        "device": "host",
    }
    if options.device != "cpu":
        made["device"] = torch.cuda.get_device_name()
        made["driver"] = _driver()
        made["cuda_of_torch"] = torch.version.cuda
    return made


def _driver():
    """The driver's version, as the system tells it; None where it does not."""
    try:
        words = pathlib.Path("/proc/driver/nvidia/version").read_text().split()
    except OSError:
        return None
    return next((word for word in words if word[0].isdigit() and "." in word), None)

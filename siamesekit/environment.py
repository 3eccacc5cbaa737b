"""What a figure was made on: the machine and the versions, to be written beside it."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

__all__ = ["environment", "hardware"]


def environment() -> dict[str, str | int]:
    """Return the machine and the versions that this process runs with, as json can hold them.

    Returns
    -------
    dict
        ``hardware``, ``threads`` (of torch), and the versions ``python``, ``torch``, ``numpy`` and
        ``siamesekit``.
    """
    return {
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "siamesekit")},
    }


def hardware() -> str:
    """Return the name of the GPU, or the processor and how many of its cores may be used."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} cores, {_processor()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

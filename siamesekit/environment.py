"""What a figure was made on: the code, the machine and the versions, to be written beside it."""

import functools
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

__all__ = ["affinity", "commit", "environment", "hardware"]

_ROOT = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str | int | list[int] | None]:
    """Return the code, the machine and the versions that this process runs, as json can hold them.

    Returns
    -------
    dict
        ``commit``, ``hardware``, ``affinity``, ``threads`` (of torch), and the versions
        ``python``, ``torch``, ``numpy`` and ``siamesekit``.
    """
    return {
        "commit": commit(),
        "hardware": hardware(),
        "affinity": affinity(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "siamesekit")},
    }


def hardware() -> str:
    """Return the name of the GPU, or the processor and how many of its cores may be used."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} cores, {_processor()}"


def affinity() -> list[int] | None:
    """Return the processors that this process may run on; None where the system does not say."""
    try:
        return sorted(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return None


@functools.cache
def commit() -> str | None:
    """Return the commit that siamesekit's checkout was at when first asked; None of an install.

    Read from the files of git, which need not be installed. Changes that are not committed are
    not seen.
    """
    try:
        folder = _git_folder(_ROOT / ".git")
        head = (folder / "HEAD").read_text("utf-8").strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        common = folder / "commondir"
        shared = folder / common.read_text("utf-8").strip() if common.is_file() else folder
        for place in (folder, shared):
            if (place / name).is_file():
                return (place / name).read_text("utf-8").strip()
        packed = (shared / "packed-refs").read_text("utf-8").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), None)
    except (OSError, ValueError):
        return None


def _git_folder(entry: Path) -> Path:
    """Return the folder of git's files, to which the entry of a worktree points."""
    if entry.is_file():
        return entry.parent / entry.read_text("utf-8").strip().removeprefix("gitdir: ")
    return entry


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

"""Where training runs, and in what precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch

from siamesekit._checks import check_choice, shown
from siamesekit._types import Shape
from siamesekit.errors import InvalidParameterError

__all__ = [
    "PRECISIONS",
    "Device",
    "Precision",
    "autocast",
    "resolve_device",
    "resolve_precision",
]

Device = Literal["auto", "cpu", "cuda", "mps"] | str | torch.device
Precision = Literal["auto", "float32", "bfloat16", "float16"]

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def resolve_device(device: Device) -> torch.device:
    """Return the device to use.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}, other device string, or torch.device
        ``"auto"`` takes CUDA where there is one, else Apple's MPS, else the CPU.

    Raises
    ------
    InvalidParameterError
        If torch knows no such device, or this machine has none.
    """
    if not isinstance(device, str | torch.device):
        raise _no_device(device)
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise _no_device(device) from error
    missing = (resolved.type == "cuda" and not torch.cuda.is_available()) or (
        resolved.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise InvalidParameterError(f"device {device!r} is asked for, but this machine has none.")
    return resolved


def _no_device(given: object) -> InvalidParameterError:
    return InvalidParameterError(
        f"device must be 'auto', 'cpu', 'cuda', 'mps' or a torch device; got {shown(given)}."
    )


def resolve_precision(
    precision: Precision, device: torch.device, input_shape: Shape
) -> torch.dtype:
    """Return the type in which the backbone computes: float32, bfloat16 or float16 of torch.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
        ``"auto"`` takes bfloat16 for images where that is known to be faster: on a GPU with
        bfloat16, and on a processor that multiplies matrices of it (Intel's AMX; with the vector
        instructions of AVX-512 alone it depends on processor and network, and a choice by the
        clock would make equal seeds differ). Elsewhere it takes float32:
        vectors are cheap, and their scales vary too much for eight bits. float16 (in which the loss
        is scaled, see `siamesekit.training.scaling.LossScaler`) is for GPUs without bfloat16.
    device : torch.device
    input_shape : tuple of int
        ``(f,)`` or ``(c, h, w)``.

    Raises
    ------
    InvalidParameterError
        If `precision` is none of these, or it is float16 and the device does not compute in it.
    """
    check_choice("precision", precision, PRECISIONS)
    device = resolve_device(device)
    if not isinstance(input_shape, tuple | list):
        raise InvalidParameterError(
            f"input_shape must be (f,) or (c, h, w); got {shown(input_shape)}."
        )
    if precision == "auto":
        wanted = len(input_shape) == 3 and _bfloat16_is_faster(device)
        return torch.bfloat16 if wanted else torch.float32
    if precision == "float16" and not _computes_in_float16(device):
        raise InvalidParameterError(
            f"precision='float16' is asked for, but torch {torch.__version__} does not compute in "
            f"it on device {str(device)!r} of this machine; give 'bfloat16' or 'float32'."
        )
    resolved: torch.dtype = getattr(torch, precision)
    return resolved


@cache
def _computes_in_float16(device: torch.device) -> bool:
    """Return whether layers can be trained in float16: it differs by version and processor."""
    try:
        images = torch.ones(2, 1, 4, 4, device=device)
        weights = torch.ones(2, 1, 3, 3, device=device, requires_grad=True)
        with torch.enable_grad(), autocast(device, torch.float16):
            maps = torch.nn.functional.conv2d(images, weights).flatten(1)
            (maps @ maps.T).sum().backward()  # type: ignore[no-untyped-call]
        return weights.grad is not None and bool(weights.grad.isfinite().all())
    except RuntimeError:
        return False


@contextmanager
def autocast(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Compute in `dtype` where that is safe; do nothing for float32."""
    half = dtype if dtype == torch.float16 else torch.bfloat16
    with torch.autocast(device.type, dtype=half, enabled=dtype == half):
        yield


def _bfloat16_is_faster(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return bool(torch.cpu._is_amx_tile_supported())
    return False

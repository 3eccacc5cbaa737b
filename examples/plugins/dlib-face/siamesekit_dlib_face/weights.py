"""Weights of dlib's face network, read from the file that dlib wrote."""

import math
import os
import struct
from pathlib import Path

import torch
from torch import Tensor

from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["N_CONVOLUTIONS", "read_weights"]

N_CONVOLUTIONS = 29

# Bytes between the weights of a layer and the name of the next: settings, and names of layers
# that have no weights.
_FARTHEST = 1024


def read_weights(path: str | os.PathLike[str]) -> list[tuple[Tensor, Tensor]]:
    """Return the weights of ``dlib_face_recognition_resnet_model_v1.dat``, in the order of use.

    The file holds each layer's name, its weights as one vector, and its settings [1]_. What is
    read is the 29 convolutions (``con_4``), each with the scale and the shift after it
    (``affine_``), which are multiplied into it, and the last, linear layer (``fc_2``).

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of (Tensor, Tensor)
        Of 29 convolutions as weight (filters × channels · height · width) and bias, float32; last,
        the linear layer's weight (inputs × outputs) and an empty bias.

    Raises
    ------
    DatasetNotFoundError
        If there is no such file.
    CorruptDatasetError
        If it is another file, or ends too early.

    References
    ----------
    .. [1] D. King, dlib, ``dlib/dnn/layers.h`` and ``dlib/dnn/tensor.h`` (``serialize``).
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DatasetNotFoundError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return _layers(data)
    except (ValueError, IndexError, struct.error) as error:
        raise CorruptDatasetError(
            f"{path} must be dlib_face_recognition_resnet_model_v1.dat as dlib wrote it: {error}."
        ) from error


def _layers(data: bytes) -> list[tuple[Tensor, Tensor]]:
    layers = []
    place = 0
    for _ in range(N_CONVOLUTIONS):
        place, vector = _vector(data, "con_4", place)
        place, affine = _vector(data, "affine_", place)
        scale, shift = affine.view(2, -1)
        filters = len(scale)
        # Filters first, then one bias for each.
        weight, bias = vector[:-filters].view(filters, -1), vector[-filters:]
        layers.append((weight * scale[:, None], bias * scale + shift))
    _, vector = _vector(data, "fc_2", place)
    layers.append((vector.view(len(layers[-1][1]), -1), torch.empty(0)))
    return layers


def _vector(data: bytes, name: str, place: int) -> tuple[int, Tensor]:
    """Return the weights of the layer `name` that comes next, and the place behind them."""
    marker = bytes([1, len(name)]) + name.encode()
    found = data.find(marker, place, place + _FARTHEST)
    if found < 0:
        raise ValueError(f"layer {name!r} is missing behind byte {place}")
    place = found + len(marker)
    if name == "fc_2":  # outputs and inputs come first
        place = _integer(data, _integer(data, place)[0])[0]
    place, version = _integer(data, place)
    if version != 2:
        raise ValueError(f"weights of {name!r} are of version {version}, not 2")
    sizes = []
    for _ in range(4):
        place, size = _integer(data, place)
        sizes.append(size)
    n_bytes = 4 * math.prod(sizes)
    if not 0 < n_bytes <= len(data) - place:
        raise ValueError(f"weights of {name!r} end too early")
    vector = torch.frombuffer(bytearray(data[place : place + n_bytes]), dtype=torch.float32)
    return place + n_bytes, vector


def _integer(data: bytes, place: int) -> tuple[int, int]:
    """Return the place behind an integer as dlib writes it, and the integer.

    The first byte says how many follow, the lowest first, and in its highest bit the sign.
    """
    head = data[place]
    end = place + 1 + (head & 0x0F)
    value = int.from_bytes(data[place + 1 : end], "little")
    return end, -value if head & 0x80 else value

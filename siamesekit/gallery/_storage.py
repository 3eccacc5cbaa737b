"""How the numbers of an embedding are kept: in four bytes, two or one each."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from siamesekit._checks import check_choice

__all__ = ["STORAGES", "Float32", "Storage", "StorageName", "storage_named"]

StorageName = Literal["float32", "float16", "int8"]

_HIGHEST = 127  # of an int8, whose lowest is not used: a sign may turn
_SCALE = 4  # bytes of the scale before the numbers of an int8


class Storage(ABC):
    """Packs rows of float32 into rows of another type, whose bytes are all there is of them."""

    name: ClassVar[str]
    dtype: ClassVar[torch.dtype]
    """Of the rows."""
    is_plain: ClassVar[bool] = False
    """Whether rows are the embeddings as they are."""

    @abstractmethod
    def pack(self, vectors: Tensor) -> Tensor:
        """Return rows of embeddings, float32 of shape (n, d)."""

    @abstractmethod
    def unpack(self, rows: Tensor) -> Tensor:
        """Return embeddings of rows, float32 of shape (n, d)."""

    def dim(self, rows: Tensor) -> int:
        """Return the number of numbers in an embedding."""
        return rows.shape[1]


class Float32(Storage):
    """As they are."""

    name, is_plain = "float32", True
    dtype = torch.float32

    def pack(self, vectors: Tensor) -> Tensor:
        return vectors

    def unpack(self, rows: Tensor) -> Tensor:
        return rows


class Float16(Storage):
    """Eleven bits of each number; all of an embedding first divided by a power of two.

    The power is kept as one number more, so that no embedding is too long or too short for the
    narrow range of the type.
    """

    name = "float16"
    dtype = torch.float16

    def pack(self, vectors: Tensor) -> Tensor:
        n, d = vectors.shape
        if not vectors.numel():
            return vectors.new_empty(n, d + 1 if d else 0, dtype=torch.float16)
        largest = vectors.abs().amax(1, keepdim=True)
        exponent = torch.frexp(largest).exponent
        scaled = torch.ldexp(vectors, -exponent)
        return torch.cat([exponent.half(), scaled.half()], 1)

    def unpack(self, rows: Tensor) -> Tensor:
        return torch.ldexp(rows[:, 1:].float(), rows[:, :1].to(torch.int32))

    def dim(self, rows: Tensor) -> int:
        return max(0, rows.shape[1] - 1)


class Int8(Storage):
    """255 steps between minus and plus the largest number of each embedding, which is kept too."""

    name = "int8"
    dtype = torch.uint8

    def pack(self, vectors: Tensor) -> Tensor:
        n, d = vectors.shape
        if not vectors.numel():
            return vectors.new_empty(n, d + _SCALE if d else 0, dtype=torch.uint8)
        scale = vectors.abs().amax(1, keepdim=True) / _HIGHEST
        steps = torch.where(scale > 0, vectors / scale, 0).round().clamp(-_HIGHEST, _HIGHEST)
        return torch.cat([scale.contiguous().view(torch.uint8), steps.char().view(torch.uint8)], 1)

    def unpack(self, rows: Tensor) -> Tensor:
        if not rows.numel():
            return rows.new_empty(len(rows), self.dim(rows), dtype=torch.float32)
        scale = rows[:, :_SCALE].contiguous().view(torch.float32)
        return rows[:, _SCALE:].view(torch.int8).float() * scale

    def dim(self, rows: Tensor) -> int:
        return max(0, rows.shape[1] - _SCALE)


STORAGES: dict[str, Storage] = {kind.name: kind() for kind in (Float32, Float16, Int8)}


def storage_named(name: object) -> Storage:
    """Return a storage by its name; raise `InvalidParameterError` if there is none."""
    return STORAGES[check_choice("storage", name, STORAGES)]

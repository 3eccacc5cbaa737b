"""The door of every built-in head: shapes, types and autocast."""

from abc import abstractmethod

import torch
from torch import Tensor

from siamesekit._scores import is_float_matrix, shown
from siamesekit.errors import InvalidDataError
from siamesekit.heads.base import Head

__all__ = ["CheckedHead"]


class CheckedHead(Head):
    """Checks the embeddings and computes in float32, also under autocast; subclasses compare.

    Subclasses write `cross` and `aligned`, which take embeddings of one type, float32 or float64,
    with autocast off.
    """

    @abstractmethod
    def cross(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores, (m, n), of all of `a`, (m, d), against all of `b`, (n, d)."""

    @abstractmethod
    def aligned(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores, (n,), of `a` against `b`, both (n, d), row by row."""

    def check_dim(self, dim: int) -> None:
        """Raise an error if the head cannot compare embeddings of `dim` numbers."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores of all of `a` against all of `b`.

        Parameters
        ----------
        a : Tensor of float, shape (m, d)
        b : Tensor of float, shape (n, d)

        Returns
        -------
        Tensor of float32 (of float64 if `a` or `b` is), shape (m, n)

        Raises
        ------
        InvalidDataError
            If the shapes or types are not as said.
        NotBuiltError
            If the head is learned and `build` was not called.
        """
        self._check(a, b)
        with torch.autocast(a.device.type, enabled=False):
            return self.cross(*_one_type(a, b))

    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores of `a` against `b`, row by row.

        Parameters
        ----------
        a, b : Tensor of float, shape (n, d)

        Returns
        -------
        Tensor of float32 (of float64 if `a` or `b` is), shape (n,)

        Raises
        ------
        InvalidDataError
            If the shapes or types are not as said.
        NotBuiltError
            If the head is learned and `build` was not called.
        """
        self._check(a, b)
        if len(a) != len(b):
            raise InvalidDataError(
                "a and b must have one row a pair, both of shape (n, d); "
                f"got {tuple(a.shape)} and {tuple(b.shape)}."
            )
        with torch.autocast(a.device.type, enabled=False):
            return self.aligned(*_one_type(a, b))

    def _check(self, a: Tensor, b: Tensor) -> None:
        given: list[tuple[str, object]] = [("a", a), ("b", b)]
        for name, embeddings in given:
            if not is_float_matrix(embeddings):
                raise InvalidDataError(
                    f"{name} must be a float tensor of shape (rows, d); got {shown(embeddings)}."
                )
        if a.shape[1] != b.shape[1]:
            raise InvalidDataError(
                "a and b must have embeddings of one length; "
                f"got shapes {tuple(a.shape)} and {tuple(b.shape)}."
            )
        self.check_dim(a.shape[1])


def _one_type(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return a.to(dtype), b.to(dtype)

"""Embeddings of many numbers made short: by directions drawn at random, or found in data.

Both keep inner products, and with them lengths, distances and angles, as well as so few numbers
can. Neither subtracts a mean: a distance does not feel one, and a cosine would become another one.
So a short embedding is compared as the long one was, by heads that look at angles or Euclidean
distances alone; others see the single numbers, which are no longer the same.
"""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_flag, check_integer, check_number, shown
from siamesekit._params import Part
from siamesekit._types import ArrayLike
from siamesekit.errors import (
    InvalidDataError,
    InvalidParameterError,
    SavedModelError,
    SiamesekitError,
)
from siamesekit.gallery._embedding import as_vectors
from siamesekit.heads import Head

__all__ = [
    "PCAProjection",
    "Projection",
    "RandomProjection",
    "as_projection",
    "check_projectable",
    "projection_of",
    "projection_state",
]

# Rows that are projected, or looked at in a fit, at a time.
_ROWS = 4096
# Numbers in an embedding at most, of which a matrix of directions is drawn.
_MOST = 2**24
# Of the largest eigenvalue, the share below which another is rounding.
_LEAST = 1e-8


class Projection(Part):
    """Maps embeddings of any length d to `size` numbers, linearly.

    Parameters
    ----------
    size : int
        At least 1.

    Attributes
    ----------
    matrix : Tensor of float32, shape (d, size), or None
        None until it is known how long embeddings are.
    """

    def __init__(self, size: int) -> None:
        self.size = check_integer("size", size, low=1)
        self.matrix: Tensor | None = None

    @abstractmethod
    def made_for(self, dim: int) -> Tensor:
        """Return the matrix for embeddings of `dim` numbers, shape (dim, size)."""

    def apply(self, vectors: ArrayLike) -> Tensor:
        """Return short embeddings.

        Parameters
        ----------
        vectors : Tensor or ndarray of float, shape (n, d)

        Returns
        -------
        Tensor of float32, shape (n, size)

        Raises
        ------
        InvalidDataError
            If they have another length than those before.
        InvalidParameterError
            If `size` is more than their length, or the projection was not fitted.
        """
        long = as_vectors(vectors, "vectors")
        matrix = self._matrix(long.shape[1]).to(long.device)
        with torch.no_grad(), torch.autocast(long.device.type, enabled=False):
            parts = [rows @ matrix for rows in torch.split(long, _ROWS)]
        return torch.cat(parts) if parts else long.new_empty(0, self.size)

    def _matrix(self, dim: int) -> Tensor:
        if self.matrix is None:
            if not self.size <= dim <= _MOST:
                raise InvalidParameterError(
                    f"projection must be to fewer numbers than an embedding has; got {self.size} "
                    f"for embeddings of {dim}."
                )
            self.matrix = self.made_for(dim)
        if len(self.matrix) != dim:
            raise InvalidDataError(
                f"embeddings must have {len(self.matrix)} numbers, as those before; got {dim}."
            )
        return self.matrix

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # once it is made it never changes, and it is large


class RandomProjection(Projection):
    """Directions of random signs, drawn from a seed: nothing is fitted, and nothing is stored.

    Inner products of unit vectors are wrong by about ``sqrt(1 / size)``, whatever their length was
    (Johnson and Lindenstrauss; with signs: Achlioptas [1]_).

    Parameters
    ----------
    size : int
        Numbers of a short embedding.
    seed : int
        Equal seeds give equal directions, on every machine and in every version of NumPy.

    References
    ----------
    .. [1] D. Achlioptas, "Database-friendly random projections: Johnson-Lindenstrauss with binary
       coins", Journal of Computer and System Sciences 66, 2003, theorem 1.1.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        super().__init__(size)
        self.seed = check_integer("seed", seed, low=0, high=2**32 - 1)

    def made_for(self, dim: int) -> Tensor:
        """Return the matrix, of signs divided by ``sqrt(size)``."""
        # The raw bits of the generator: its distributions may change from version to version.
        n = dim * self.size
        words = np.random.PCG64(self.seed).random_raw(-(-n // 64)).astype("<u8")
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")[:n]
        signs = torch.from_numpy(bits.reshape(dim, self.size)).float()
        return signs.mul_(2).sub_(1).mul_(self.size**-0.5)


class PCAProjection(Projection):
    """Directions in which embeddings at hand are longest, and random ones through what is left.

    Directions that `fit` finds tell apart what they were found in, better than what they were not:
    what is left of an embedding outside them is therefore not thrown away, but seen through random
    signs, as by `RandomProjection`. So inner products are right on average, and less wrong than
    with either alone.

    Best fitted to the embeddings of classes that were not trained on, as the background of a
    gallery: what tells them apart is what will have to tell others apart.

    Parameters
    ----------
    size : int
        Numbers of a short embedding.
    share : float
        Of the numbers, the share of found directions, in [0, 1]; rounded down, but at least one.
        With 1 it is principal component analysis, without centring.
    whiten : float
        From 0 to 0.5: found directions are divided by their eigenvalue to this power. 0 keeps
        inner products as they are; 0.5 makes all found directions equally long, as whitening does.
        Between, what all embeddings share counts less: other scores, and often better ones.
    unit : bool
        Look at directions of embeddings alone in the fit, as the cosine does; with False long
        embeddings count more.
    seed : int
        Of the random signs.
    """

    def __init__(
        self,
        size: int,
        share: float = 0.25,
        whiten: float = 0.0,
        unit: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(size)
        self.share = check_number("share", share, low=0.0, high=1.0)
        self.whiten = check_number("whiten", whiten, low=0.0, high=0.5)
        self.unit = check_flag("unit", unit)
        self.seed = check_integer("seed", seed, low=0, high=2**32 - 1)

    def made_for(self, dim: int) -> Tensor:
        """Raise `InvalidParameterError`: without a fit there is no matrix."""
        raise InvalidParameterError(
            "projection must be fitted: PCAProjection(size).fit(vectors), best of classes that "
            "were not trained on."
        )

    def fit(self, vectors: ArrayLike) -> Self:
        """Find the directions.

        Parameters
        ----------
        vectors : Tensor or ndarray of float, shape (n, d)
            Finite, not only zeros; `d` at least `size`, and `n` at least ``share * size``.

        Returns
        -------
        PCAProjection
            Itself.

        Raises
        ------
        InvalidDataError
            If they are not so.
        """
        long = as_vectors(vectors, "vectors")
        if not bool(long.isfinite().all()):
            raise InvalidDataError("vectors must be finite; got NaN or infinity.")
        found = max(1, int(self.share * self.size))
        if len(long) < found or long.shape[1] < self.size:
            raise InvalidDataError(
                f"vectors must be at least {found} of at least {self.size} numbers; got "
                f"{tuple(long.shape)}."
            )
        long = torch.nn.functional.normalize(long, dim=1) if self.unit else long
        directions, values = _longest(long, found)
        rest = self.size - found
        parts = [directions * (values / values[-1]) ** -self.whiten]
        if rest:
            random = RandomProjection(rest, self.seed).made_for(long.shape[1]).to(long.device)
            parts.append(random - directions @ (directions.T @ random))
        self.matrix = torch.cat(parts, 1).contiguous()
        return self


def _longest(vectors: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the eigenvectors of ``vectors.T @ vectors`` with the largest eigenvalues.

    By the smaller of the two products: that of the rows has the same eigenvalues.

    Returns
    -------
    directions : Tensor of float32, shape (d, size)
    values : Tensor of float32, shape (size,)

    Raises
    ------
    InvalidDataError
        If the vectors have fewer directions.
    """
    n, d = vectors.shape
    wide = n < d
    product = torch.zeros(min(n, d), min(n, d), dtype=torch.float64)
    for part in torch.split(vectors, _ROWS, dim=1 if wide else 0):
        own = part.cpu().double()  # not every device has the wide type
        product += own @ own.T if wide else own.T @ own
    values, found = torch.linalg.eigh(product)
    found, values = found[:, -size:].flip(1), values[-size:].flip(0)
    there = int((values > _LEAST * values[0]).sum())
    if there < size:
        raise InvalidDataError(
            f"vectors must have at least {size} directions that differ; got {there}."
        )
    if wide:
        found = vectors.T @ (found * values.rsqrt()).float().to(vectors.device)
    return found.float().to(vectors.device), values.float().to(vectors.device)


def as_projection(projection: Projection | int | None) -> Projection | None:
    """Return the projection that an argument stands for: of an integer a random one.

    Raises
    ------
    InvalidParameterError
        If it stands for none.
    """
    if projection is None or isinstance(projection, Projection):
        return projection
    if isinstance(projection, bool) or not isinstance(projection, int | np.integer):
        raise InvalidParameterError(
            "projection must be None, a number of numbers (RandomProjection of that size) or a "
            f"Projection; got {shown(projection)}."
        )
    return RandomProjection(check_integer("projection", projection, low=1))


def projection_state(
    projection: Projection,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what json and arrays say of a projection.

    Raises
    ------
    InvalidParameterError
        If it is none of this module.
    """
    kind = next((name for name, own in _KINDS.items() if type(projection) is own), None)
    if kind is None:
        raise InvalidParameterError(
            f"projection must be one of {', '.join(k.__name__ for k in _KINDS.values())} to be "
            f"saved; got {shown(projection)}."
        )
    dim = None if projection.matrix is None else len(projection.matrix)
    facts = {"kind": kind, "dim": dim, "params": projection.get_params()}
    # Of random directions the seed says all.
    fitted = isinstance(projection, PCAProjection) and projection.matrix is not None
    arrays = {"projection": projection.matrix.cpu().numpy()} if fitted else {}  # type: ignore[union-attr]
    return {"projection": facts}, arrays


def projection_of(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> Projection | None:
    """Return the projection of which `projection_state` told.

    Raises
    ------
    SavedModelError
        If it cannot have told so.
    """
    entry = facts.get("projection")
    if entry is None:
        return None
    try:
        made: Projection = _KINDS[entry["kind"]](**entry["params"])
        dim, matrix = entry["dim"], arrays.get("projection")
        if matrix is not None:
            if matrix.shape != (dim, made.size) or not np.isfinite(matrix).all():
                raise ValueError("its directions are not those of its size")
            made.matrix = torch.from_numpy(matrix.astype(np.float32))
        elif dim is not None:
            made._matrix(check_integer("dim", dim, low=1))
    except (KeyError, TypeError, ValueError) as error:
        raise SavedModelError(f"its projection cannot be made again: {error}") from error
    return made


_KINDS: dict[str, Any] = {"random": RandomProjection, "pca": PCAProjection}


def check_projectable(head: Head, size: int) -> None:
    """Raise unless a head sees angles or Euclidean distances alone: a turned space looks the same.

    Raises
    ------
    InvalidParameterError
    """
    generator = torch.Generator().manual_seed(0)
    a, b, axis = torch.randn(3, 8, max(2, size), generator=generator)
    axis = axis[0] / axis[0].norm()

    def turned(z: Tensor) -> Tensor:
        mirrored: Tensor = z - 2 * (z @ axis)[:, None] * axis
        return mirrored

    try:
        with torch.inference_mode():
            alike = torch.allclose(
                head.pairs(a, b), head.pairs(turned(a), turned(b)), rtol=1e-3, atol=1e-3
            )
    except SiamesekitError:  # it was built for the single numbers of long embeddings, or will be
        alike = False
    if not alike:
        raise InvalidParameterError(
            "projection must be None with a head that looks at the single numbers of embeddings; "
            'those that look at angles or Euclidean distances alone ("cosine", "euclidean", '
            f'"sqeuclidean") may have one; got {type(head).__name__}.'
        )

"""Embeddings that see an image in its turns and mirror images."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from siamesekit._checks import check_flag, check_integer
from siamesekit._eager import is_eager
from siamesekit._types import Shape
from siamesekit.backbones._shapes import check_image_shape
from siamesekit.backbones._wrapper import Wrapper, embedded, is_copywise
from siamesekit.data import RandomAffine
from siamesekit.errors import InvalidDataError
from siamesekit.registry import register

__all__ = ["TurnedNet", "one_copy"]

_TURNS = 4


@register("backbones", "turned")
class TurnedNet(Wrapper):
    """Embeds an image in each of its quarter turns by one network, and puts these side by side.

    To a network that learnt from turned classes (`siamesekit.data.with_turns`) a symbol on its
    side is another symbol, so its turns are opinions nearly independent of one another. The
    cosine of two embeddings is the mean of the cosines in each turn.

    In training an image is seen as it is, once: turns cost time only when something is embedded
    in ``eval()`` mode.

    Parameters
    ----------
    backbone : str, class or nn.Module
        The network: a registered one, or any that maps ``(b, *input_shape)`` to ``(b, d)``. One
        with weights starts from them.
    mirrored : bool
        Take the mirror image in its four turns too: 8 views in place of 4.
    moved : int
        Copies of each view, moved by small affine maps (the same for every image), that are
        averaged with it; at least 0. Time grows with ``moved + 1``.

    Notes
    -----
    Embeddings have unit length, ``4 d`` or ``8 d`` numbers for a network of `d`, and depend on
    their own image alone. In training they are that many copies of the one embedding, so that
    heads and losses meet one length. Where only a head that is ``of_any_length`` sees them,
    `TrainingLine` makes one copy, which scores the same.
    """

    def __init__(
        self,
        backbone: str | type[nn.Module] | nn.Module = "residual",
        mirrored: bool = True,
        moved: int = 0,
    ) -> None:
        super().__init__(backbone)
        check_flag("mirrored", mirrored)
        check_integer("moved", moved, low=0)
        self.mirrored = mirrored
        self.moved = moved

    def turn(self, embeddings: Tensor, turns: int) -> Tensor:
        """Return the embeddings of the same images turned, which hold the same views elsewhere.

        Parameters
        ----------
        embeddings : Tensor of float, shape (n, d)
            Made in ``eval()`` mode.
        turns : int
            Quarter turns, as in ``torch.rot90``.

        Returns
        -------
        Tensor of float, shape (n, d)

        Raises
        ------
        InvalidDataError
            If `d` is no multiple of the number of views.
        """
        n_views = _TURNS * (1 + self.mirrored)
        if embeddings.ndim != 2 or embeddings.shape[1] % n_views:
            raise InvalidDataError(
                f"embeddings must be of {n_views} views side by side, shape (n, {n_views} k); "
                f"got {tuple(embeddings.shape)}."
            )
        sides = embeddings.chunk(1 + self.mirrored, 1)
        # The mirror image of a turned image is the mirror image turned back.
        turned = [
            side.roll(way * turns * (side.shape[1] // _TURNS), 1)
            for side, way in zip(sides, (-1, 1), strict=False)
        ]
        return torch.cat(turned, 1)

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        _, height, width = check_image_shape(type(self).__name__, input_shape)
        if height != width:
            raise InvalidDataError(
                f"TurnedNet needs square images; got items of shape {input_shape}."
            )
        return _Turned(self.build_inner(input_shape), self.mirrored, self.moved)


class _Turned(nn.Module):
    # Not set on a network but within `one_copy`: a checkpoint knows a network by what it keeps.
    once = False

    def __init__(self, inner: nn.Module, mirrored: bool, moved: int) -> None:
        super().__init__()
        self.inner = inner
        self.mirrored = mirrored
        affine = RandomAffine(rotation=6, shear=0.1, scale=(0.92, 1.08), translate=0.04)
        # Fixed maps, so that an embedding depends on nothing but its image.
        self.maps = affine.matrices(moved, torch.Generator().manual_seed(0)) if moved else None

    def forward(self, x: Tensor) -> Tensor:
        n = _TURNS * (1 + self.mirrored)
        if self.training:
            return self._unit(x) if self.once else self._unit(x).repeat(1, n) / math.sqrt(n)
        sides = (x, x.flip(3)) if self.mirrored else (x,)
        views = [
            self._mean(torch.rot90(side, turn, (2, 3))) for side in sides for turn in range(_TURNS)
        ]
        return torch.cat(views, dim=1) / math.sqrt(n)

    def _mean(self, x: Tensor) -> Tensor:
        """Return the unit mean of the unit embeddings of images and of their moved copies."""
        total = self._unit(x)
        if self.maps is None:
            return total
        for one in self.maps.to(x.device):
            total = total + self._unit(self._moved(x, one))
        return functional.normalize(total, dim=1)

    def _moved(self, x: Tensor, one: Tensor) -> Tensor:
        """Return all images moved by one map, shape (2, 3)."""
        with torch.autocast(x.device.type, enabled=False):
            # The grid of one image, seen by all: an exported network then takes any batch.
            grid = functional.affine_grid(one[None], [1, 1, *x.shape[2:]], align_corners=False)
            grid = grid.expand(x.shape[0], -1, -1, -1)
            # In half precision positions would be rounded to whole pixels.
            return functional.grid_sample(x.float(), grid, align_corners=False).to(x.dtype)

    def _unit(self, x: Tensor) -> Tensor:
        if getattr(self.inner, "channels_last", False) is True and is_eager(x):
            x = x.contiguous(memory_format=torch.channels_last)
        else:
            # Other networks may expect `view` to work, and work in place on what is theirs.
            x = x.clone(memory_format=torch.contiguous_format)
        return functional.normalize(embedded(self.inner, x), dim=1)


@contextmanager
def one_copy(network: nn.Module) -> Iterator[None]:
    """Run a block in which a `TurnedNet` in ``train()`` mode gives each embedding once.

    To a head that is ``of_any_length`` it is what copies side by side are, at an eighth of the
    numbers.

    Parameters
    ----------
    network : nn.Module
        A `TurnedNet`, or a ``copywise`` wrapper around one. Others do not change: what lies
        between a `TurnedNet` and the head may have weights for all copies.
    """
    turned = _seen_by_the_head(network)
    if turned is None:
        yield
        return
    turned.once = True
    try:
        yield
    finally:
        del turned.once


def _seen_by_the_head(network: nn.Module) -> _Turned | None:
    if is_copywise(network):
        return _seen_by_the_head(network.inner)
    # Subclasses may do with the copies what they like.
    own = network.network if type(network) is TurnedNet else None
    return own if isinstance(own, _Turned) else None

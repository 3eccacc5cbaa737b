"""What every backbone is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from siamesekit._checks import shown
from siamesekit._params import Part
from siamesekit._types import Shape
from siamesekit.backbones._shapes import check_shape
from siamesekit.errors import InvalidDataError, NotBuiltError

__all__ = ["Backbone"]


class Backbone(Part, nn.Module, ABC):
    """A network that turns items into embeddings.

    The constructor takes hyper-parameters only; `build` makes the layers once the shape of an
    item is known, so that one backbone serves any input. Subclasses write `layers`.

    Notes
    -----
    Any ``nn.Module`` that maps ``(b, *input_shape)`` to ``(b, d)`` serves as a backbone too; this
    class adds parameters by name and the building.
    """

    channels_last: bool = False
    """Whether images and weights are to lie in memory with channels last (faster convolutions)."""

    network: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.network = None
        self.input_shape: Shape | None = None

    @abstractmethod
    def layers(self, input_shape: Shape) -> nn.Module:
        """Return the layers for items of `input_shape`.

        Parameters
        ----------
        input_shape : tuple of int
            ``(f,)`` for vectors or ``(c, h, w)`` for images.

        Raises
        ------
        InvalidDataError
            If the backbone cannot take such items.
        """

    def build(self, input_shape: Shape) -> Self:
        """Make the layers; on a backbone already built for that shape, keep them.

        Parameters
        ----------
        input_shape : tuple of int
            ``(f,)`` for vectors or ``(c, h, w)`` for images.

        Returns
        -------
        Backbone
            Itself.

        Raises
        ------
        InvalidDataError
            If it was built for another shape, or cannot take this one.
        InvalidParameterError
            If `input_shape` is no shape.
        """
        shape = check_shape(input_shape)
        if self.network is None:
            # Weights made in inference mode could never be trained.
            with torch.inference_mode(False):
                self.network = self.layers(shape)
            self.input_shape = shape
        elif self.input_shape != shape:
            raise InvalidDataError(
                f"{type(self).__name__} was built for items of shape {self.input_shape}; "
                f"got {shape}."
            )
        return self

    def start(
        self,
        embed: Callable[[nn.Module], Tensor],
        labels: Tensor,
        scale: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> None:
        """Fit to the training set what is fitted before training; most have nothing of the kind.

        An estimator calls it when `fit` begins.

        Parameters
        ----------
        embed : callable
            From a network to its embeddings of training items, shape (n, d).
            ``embed(nn.Flatten())`` are the items themselves, as the network gets them.
        labels : Tensor of int64, shape (n,)
            Class of each item.
        scale, offset : Tensor of float64, shape (f,), optional
            Where items were standardised: times `scale` plus `offset` they are what was given.
        """

    def finish(self, embed: Callable[[nn.Module], Tensor], labels: Tensor) -> nn.Module:
        """Return the network as it is used once training is over; most return themselves.

        Here belongs what is fitted or simplified after training: a whitening, batch
        normalisation that goes into the weights before it. An estimator calls it at the end of
        `fit` and keeps what it returns.

        Parameters
        ----------
        embed : callable
            From a network (this one, or one inside it) to its embeddings of training items in
            ``eval()`` mode, shape (n, d).
        labels : Tensor of int64, shape (n,)
            Class of each item.

        Returns
        -------
        nn.Module
            This backbone, changed or as it is, or another in its place.
        """
        return self

    def unfinish(self) -> None:
        """Drop what `finish` fitted: before training goes on, since it fits other weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings of a batch.

        Parameters
        ----------
        x : Tensor of float, shape (b, c, h, w) or (b, f)

        Returns
        -------
        Tensor of float, shape (b, d)

        Raises
        ------
        InvalidDataError
            If `x` is no tensor, or its shape or type is one that the layers cannot take.
        NotBuiltError
            If `build` was not called.
        """
        if self.network is None:
            raise NotBuiltError(f"{type(self).__name__}: call build(input_shape) first.")
        # Asked of what it can do: what traces or exports a network hands in a stand-in. Of a tensor
        # the compiler of torch 2.6 does not know that it can.
        if not (isinstance(x, Tensor) or hasattr(x, "is_floating_point")):
            raise InvalidDataError(f"x must be a float tensor; got {shown(x)}.")
        try:
            embeddings: Tensor = self.network(x)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            # Asked only now: a check before would be a guard in every traced or exported network,
            # and layers that average over a map take images of any size.
            self._explain(x, error)
            raise
        return embeddings

    def _explain(self, x: Tensor, error: Exception) -> None:
        """Raise what is wrong with `x`, if it is that its shape or type is another."""
        weights = next((w for w in self.parameters() if w.is_floating_point()), None)
        other_type = weights is not None and x.dtype != weights.dtype
        if other_type or tuple(x.shape[1:]) != self.input_shape:
            sizes = ", ".join(map(str, self.input_shape or ()))
            wanted = str(torch.float32 if weights is None else weights.dtype)[6:]
            raise InvalidDataError(
                f"x must be a {wanted} tensor of shape (b, {sizes}), as {type(self).__name__} was "
                f"built for; got {str(x.dtype)[6:]} of shape {tuple(x.shape)}."
            ) from error

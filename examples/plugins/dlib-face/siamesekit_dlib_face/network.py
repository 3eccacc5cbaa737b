"""dlib's face network, layer by layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamesekit.errors import CorruptDatasetError
from siamesekit_dlib_face.weights import N_CONVOLUTIONS

__all__ = ["SIDE", "FaceNetwork"]

SIDE = 150
"""Pixels: side of the aligned faces that the network was trained on."""

# What dlib's input layer takes from red, green and blue, in 0 … 255, before it divides by 256.
_MEAN = (122.782, 117.001, 104.298)

# Filters of each block of two convolutions, and whether it halves the side of the map.
_BLOCKS = (
    *((32, False),) * 3,
    (64, True),
    *((64, False),) * 3,
    (128, True),
    *((128, False),) * 2,
    (256, True),
    *((256, False),) * 2,
    (256, True),
)


class FaceNetwork(nn.Module):
    """ResNet of 29 convolutions from faces to 128 numbers; people are told apart from 0.6 on.

    Parameters
    ----------
    weights : list of (Tensor, Tensor), optional
        What `read_weights` returns; drawn at random by default.

    Raises
    ------
    CorruptDatasetError
        If `weights` are those of another network.

    Notes
    -----
    A scale and a shift stand in dlib's network behind each convolution, as a batch normalisation
    leaves them after training; here they are part of it. A halving block averages what goes past
    it, and two maps of different size are added with zeros where one has nothing.

    References
    ----------
    .. [1] D. King, dlib, ``examples/dnn_face_recognition_ex.cpp`` (``anet_type``).
    .. [2] K. He et al., "Deep residual learning for image recognition", CVPR 2016.
    """

    mean: Tensor

    def __init__(self, weights: list[tuple[Tensor, Tensor]] | None = None) -> None:
        super().__init__()
        mean = torch.tensor(_MEAN).view(1, 3, 1, 1) / 255
        self.register_buffer("mean", mean, persistent=False)
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        before, blocks = 32, []
        for filters, halves in _BLOCKS:
            blocks.append(_Block(before, filters, halves))
            before = filters
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(before, 128, bias=False)
        if weights is not None:
            self._fill(weights)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings of faces.

        Parameters
        ----------
        x : Tensor of float, shape (b, 3, 150, 150)
            Red, green and blue in [0, 1].

        Returns
        -------
        Tensor of float, shape (b, 128)
        """
        x = (x - self.mean) * (255 / 256)
        x = F.max_pool2d(F.relu(self.stem(x)), 3, stride=2)
        x = self.blocks(x).mean((2, 3))
        embeddings: Tensor = self.last(x)
        return embeddings

    @torch.no_grad()
    def _fill(self, weights: list[tuple[Tensor, Tensor]]) -> None:
        convolutions = [m for m in self.modules() if isinstance(m, nn.Conv2d)]
        assert len(convolutions) == N_CONVOLUTIONS
        *of_convolutions, (linear, _) = weights
        try:
            for own, (weight, bias) in zip(convolutions, of_convolutions, strict=True):
                own.weight.copy_(weight.view(own.weight.shape))
                own.bias.copy_(bias)
            self.last.weight.copy_(linear.T)
        except (RuntimeError, ValueError) as error:
            raise CorruptDatasetError(f"weights are those of another network: {error}") from error


class _Block(nn.Module):
    def __init__(self, before: int, after: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        # dlib pads a convolution of stride 1, and none of a longer one.
        self.first = nn.Conv2d(before, after, 3, 2 if halves else 1, padding=0 if halves else 1)
        self.second = nn.Conv2d(after, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.second(F.relu(self.first(x)))
        past = F.avg_pool2d(x, 2) if self.halves else x
        return F.relu(_sum(hidden, past)) if self.halves else F.relu(hidden + past)


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """Return the sum of two maps, each with zeros behind it up to the size of the larger."""
    sizes = [max(a, b) for a, b in zip(one.shape[1:], other.shape[1:], strict=True)]
    return _widened(one, sizes) + _widened(other, sizes)


def _widened(x: Tensor, sizes: list[int]) -> Tensor:
    channels, height, width = (most - own for most, own in zip(sizes, x.shape[1:], strict=True))
    return F.pad(x, (0, width, 0, height, 0, channels))

"""Embeddings whose spread within a class is the same in all directions."""

from collections.abc import Callable

import torch
from sklearn.covariance import shrunk_covariance
from torch import Tensor, nn
from torch.nn import functional

from siamesekit._checks import check_number
from siamesekit._types import Shape
from siamesekit.backbones._wrapper import Wrapper
from siamesekit.backbones.base import Backbone
from siamesekit.errors import InvalidDataError
from siamesekit.registry import register

__all__ = ["WhitenedNet"]


@register("backbones", "whitened")
class WhitenedNet(Wrapper):
    """Takes the unit embeddings of a network to where classes spread alike in all directions.

    Within-class covariance normalisation [1]_: directions in which drawings of one class differ
    count less in the cosine, others more. The map is linear, with ``B Bᵀ = W⁻¹`` for the
    covariance `W` within the classes of the training set. It is fitted once training is over
    (`settle`); until then, and while training, the network's own embeddings pass.

    Parameters
    ----------
    backbone : str, class or Backbone
        The network. One with weights starts from them.
    shrinkage : float
        In (0, 1]: share of the mean variance in all directions alike in `W`, the rest being the
        covariance of the training set, which is smaller than that of new classes. With 1 nothing
        changes but the scale.

    Notes
    -----
    The map has d² numbers for an embedding of d.

    References
    ----------
    .. [1] A. Hatch, S. Kajarekar, A. Stolcke, "Within-class covariance normalization for SVM-based
       speaker recognition", Interspeech 2006, eq. 10.
    """

    def __init__(
        self, backbone: str | type[Backbone] | Backbone = "residual", shrinkage: float = 0.5
    ) -> None:
        super().__init__(backbone)
        self.shrinkage = check_number("shrinkage", shrinkage, low=0, high=1, open_low=True)

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        inner = self.build_inner(input_shape)
        was_training = inner.training
        with torch.inference_mode():
            dim = inner.eval()(torch.zeros(1, *input_shape)).shape[1]
        inner.train(was_training)
        return _Whitened(inner, dim)

    def settle(self, embed: Callable[[nn.Module], Tensor], labels: Tensor) -> None:
        """Fit the map to embeddings of the training set.

        Parameters
        ----------
        embed : callable
            From a network to its embeddings of training items, shape (n, d).
        labels : Tensor of int64, shape (n,)
            Class of each item.

        Raises
        ------
        InvalidDataError
            If no class has two items.
        """
        super().settle(embed, labels)
        network = self.network
        assert isinstance(network, _Whitened)
        vectors = functional.normalize(embed(self.inner), dim=1)
        network.matrix.copy_(_whitening(vectors.cpu(), labels.cpu(), self.shrinkage))


class _Whitened(nn.Module):
    matrix: Tensor

    def __init__(self, inner: Backbone, dim: int) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("matrix", torch.eye(dim))

    def forward(self, x: Tensor) -> Tensor:
        embeddings = functional.normalize(self.inner(x).float(), dim=1)
        if self.training:
            return embeddings
        with torch.autocast(x.device.type, enabled=False):
            whitened: Tensor = embeddings @ self.matrix
        return whitened


def _whitening(vectors: Tensor, labels: Tensor, shrinkage: float) -> Tensor:
    """Return the lower triangle `B` of ``B Bᵀ = W⁻¹``, scaled to keep lengths on the whole."""
    own, sizes = torch.unique(labels, return_inverse=True, return_counts=True)[1:]
    n_free = len(labels) - len(sizes)
    if n_free < 1:
        raise InvalidDataError(
            "backbone 'whitened' needs a class of two items at least in training; "
            f"got {len(labels)} items of {len(sizes)} classes."
        )
    sums = vectors.new_zeros(len(sizes), vectors.shape[1]).index_add_(0, own, vectors)
    off = vectors - (sums / sizes[:, None])[own]
    covariance = (off.T @ off).double() / n_free
    shrunk = torch.from_numpy(shrunk_covariance(covariance.numpy(), shrinkage))
    scale = covariance.diagonal().mean().sqrt()
    lower: Tensor = scale * torch.linalg.cholesky(torch.linalg.inv(shrunk))
    return lower.to(vectors.dtype)

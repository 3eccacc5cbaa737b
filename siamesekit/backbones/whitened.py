"""Embeddings whose spread within a class is the same in all directions."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from sklearn.covariance import shrunk_covariance
from torch import Tensor, nn
from torch.nn import functional

from siamesekit._checks import check_number
from siamesekit._types import Shape
from siamesekit.backbones._wrapper import Wrapper, embedded
from siamesekit.errors import InvalidDataError
from siamesekit.registry import register

__all__ = ["WhitenedNet"]

# What rounding alone makes of the standard deviation of a unit vector's numbers.
_NO_SPREAD = 1e-6


@register("backbones", "whitened")
class WhitenedNet(Wrapper):
    """Takes the unit embeddings of a network to where classes spread alike in all directions.

    Within-class covariance normalisation [1]_: directions in which drawings of one class differ
    count less in the cosine, others more. The map is linear, with ``B Bᵀ = W⁻¹`` for the
    covariance `W` within the classes of the training set, its mean variance scaled to 1. It is
    fitted once training is over (`finish`); until then, and while training, the network's own
    embeddings pass.

    Parameters
    ----------
    backbone : str, class or nn.Module
        The network: a registered one, or any that maps ``(b, *input_shape)`` to ``(b, d)``. One
        with weights starts from them.
    shrinkage : float
        In (0, 1]: share of the mean variance in all directions alike in `W`, the rest being the
        covariance of the training set, which is smaller than that of new classes. With 1 nothing
        changes.

    Notes
    -----
    The map has d² numbers for an embedding of d.

    References
    ----------
    .. [1] A. Hatch, S. Kajarekar, A. Stolcke, "Within-class covariance normalization for SVM-based
       speaker recognition", Interspeech 2006, eq. 10.
    """

    copywise = True

    def __init__(
        self, backbone: str | type[nn.Module] | nn.Module = "residual", shrinkage: float = 0.5
    ) -> None:
        super().__init__(backbone)
        self.shrinkage = check_number("shrinkage", shrinkage, low=0, high=1, open_low=True)

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        return _Whitened(self.build_inner(input_shape))

    def finish(self, embed: Callable[[nn.Module], Tensor], labels: Tensor) -> nn.Module:
        """Fit the map to embeddings of the training set, by the wrapped network as it is used.

        Parameters
        ----------
        embed : callable
            From a network to its embeddings of training items, shape (n, d).
        labels : Tensor of int64, shape (n,)
            Class of each item.

        Returns
        -------
        WhitenedNet
            Itself.

        Raises
        ------
        InvalidDataError
            If no class has two items, or an embedding is not finite.
        """
        super().finish(embed, labels)
        # A matrix made in inference mode would let no gradient through later on.
        with torch.inference_mode(False), torch.no_grad():
            vectors = functional.normalize(embed(self.inner).float(), dim=1)
            matrix = _whitening(vectors.cpu(), labels.cpu(), self.shrinkage)
            self._set_matrix(matrix.to(vectors.device))
        return self

    def unfinish(self) -> None:  # noqa: D102
        super().unfinish()
        self._set_matrix(torch.empty(0, 0))

    def _set_matrix(self, matrix: Tensor) -> None:
        assert isinstance(self.network, _Whitened)
        self.network.matrix = matrix


class _Whitened(nn.Module):
    matrix: Tensor

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        # Empty until finished: averages and checkpoints in training need not carry d² numbers.
        self.register_buffer("matrix", torch.empty(0, 0))

    def forward(self, x: Tensor) -> Tensor:
        embeddings = functional.normalize(embedded(self.inner, x), dim=1)
        if self.training or self.matrix.numel() == 0:
            return embeddings
        with torch.autocast(x.device.type, enabled=False):
            whitened: Tensor = embeddings @ self.matrix.float()
        return whitened

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        saved = state_dict.get(f"{prefix}matrix")
        if saved is not None:
            with torch.inference_mode(False):
                self.matrix = torch.empty(
                    saved.shape, dtype=self.matrix.dtype, device=self.matrix.device
                )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _whitening(vectors: Tensor, labels: Tensor, shrinkage: float) -> Tensor:
    """Return the lower triangle `B` of ``B Bᵀ = W⁻¹``, scaled to keep lengths on the whole."""
    own, sizes = torch.unique(labels, return_inverse=True, return_counts=True)[1:]
    n_free = len(labels) - len(sizes)
    if n_free < 1:
        raise InvalidDataError(
            "backbone 'whitened' needs a class of two items at least in training; "
            f"got {len(labels)} items of {len(sizes)} classes."
        )
    if not bool(torch.isfinite(vectors).all()):
        raise InvalidDataError(
            "backbone 'whitened': embeddings of the training set are not finite."
        )
    sums = vectors.new_zeros(len(sizes), vectors.shape[1]).index_add_(0, own, vectors)
    off = vectors - (sums / sizes[:, None])[own]
    covariance = (off.T @ off).double() / n_free
    scale = covariance.diagonal().mean().sqrt()
    if scale < _NO_SPREAD:  # all directions are alike
        return torch.eye(len(covariance))
    shrunk = torch.from_numpy(shrunk_covariance(covariance.numpy(), shrinkage))
    lower: Tensor = scale * torch.linalg.cholesky(torch.linalg.inv(shrunk))
    return lower.to(vectors.dtype).contiguous()

"""A network for vectors that starts as the best comparison without training."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from siamesekit._checks import check_integer, check_number
from siamesekit._types import Shape
from siamesekit.backbones._shapes import flat_size
from siamesekit.backbones._start import Choice, choose_start
from siamesekit.backbones.base import Backbone
from siamesekit.registry import register

__all__ = ["ResidualMLP"]


@register("backbones", "residual-mlp")
class ResidualMLP(Backbone):
    """A closed-form map of vectors, plus what a dense network learns on top, at first nothing.

    The map is fitted before training (`start`): features as given, centred or standardised, then
    whitened within classes as strongly as helps on classes it was not fitted to. The network's
    last layer starts at zero. In use a `share` of what it learned is added: an estimator tries on
    held-out training classes how much helps to tell classes apart that were not trained on. So
    learning does not lose to no learning, but by chance.

    Parameters
    ----------
    hidden : int
        Units of the hidden layer.
    dropout : float
        Share of units dropped after it, in ``[0, 1)``.

    Notes
    -----
    An embedding has as many numbers as an item, d, and before the share of the network the length
    √d. For fingerprints (many features, most of them 0) features stay as they are, since
    standardising would make the rarest the loudest.

    The whitening is within-class covariance normalisation [1]_ by the symmetric root of ``W⁻¹``.
    The zero layer is that of "zero-gamma" residual networks [2]_.

    References
    ----------
    .. [1] A. Hatch, S. Kajarekar, A. Stolcke, "Within-class covariance normalization for SVM-based
       speaker recognition", Interspeech 2006, eq. 10.
    .. [2] P. Goyal et al., "Accurate, large minibatch SGD", arXiv 1706.02677, §5.1.
    """

    standardised: ClassVar[bool] = True
    shares: ClassVar[tuple[float, ...]] = (0.0, 0.1, 0.25, 0.5, 1.0)
    """Of what the network learned, those that an estimator tries."""

    def __init__(self, hidden: int = 128, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden = check_integer("hidden", hidden, low=1)
        self.dropout = check_number("dropout", dropout, low=0.0, high=1.0, open_high=True)
        self.choice: Choice | None = None

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        return _Residual(flat_size(input_shape), self.hidden, self.dropout)

    def try_like(self, other: "ResidualMLP") -> None:
        """Start as another was found to start best: with its candidate, fitted anew."""
        self.choice = other.choice

    @property
    def share(self) -> float:
        """How much of what the network learned is added in use, in [0, 1]; once built."""
        assert isinstance(self.network, _Residual)
        return float(self.network.share)

    @share.setter
    def share(self, share: float) -> None:
        assert isinstance(self.network, _Residual)
        self.network.share.fill_(check_number("share", share, low=0.0, high=1.0))

    def start(  # noqa: D102
        self,
        embed: Callable[[nn.Module], Tensor],
        labels: Tensor,
        scale: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> None:
        network = self.network
        assert isinstance(network, _Residual)
        if network.started:
            return  # one that comes with weights keeps them, and what they were trained on
        with torch.inference_mode(False), torch.no_grad():
            items = embed(nn.Flatten())
            chosen = choose_start(items.cpu(), labels.cpu(), scale, offset, self.choice)
            self.choice = chosen.choice
            device = network.scale.device
            network.scale, network.offset = chosen.scale.to(device), chosen.offset.to(device)
            network.directions = chosen.directions.to(device).contiguous()
            network.gains = chosen.gains.to(device)
            network.unit.fill_(chosen.unit)
            network.started.fill_(True)


class _Residual(nn.Module):
    scale: Tensor
    offset: Tensor
    directions: Tensor
    gains: Tensor
    unit: Tensor
    started: Tensor
    share: Tensor

    def __init__(self, features: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("offset", torch.zeros(features))
        # As many directions as items spread in, which only training can tell.
        self.register_buffer("directions", torch.empty(features, 0))
        self.register_buffer("gains", torch.empty(0))
        self.register_buffer("unit", torch.tensor(False))
        self.register_buffer("started", torch.tensor(False))
        self.register_buffer("share", torch.tensor(1.0))
        last = nn.Linear(hidden, features)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.learned = nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), last
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        with torch.autocast(x.device.type, enabled=False):
            z = x.float() * self.scale + self.offset
            z = torch.where(self.unit, functional.normalize(z, dim=1), z)
            z = z + ((z @ self.directions) * (self.gains - 1)) @ self.directions.T
            z = functional.normalize(z, dim=1) * z.shape[1] ** 0.5
        learned: Tensor = self.learned(z)
        embeddings: Tensor = z + (learned if self.training else self.share * learned)
        return embeddings

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for name in ("directions", "gains"):
            saved = state_dict.get(f"{prefix}{name}")
            if saved is not None:
                own = getattr(self, name)
                with torch.inference_mode(False):
                    setattr(self, name, own.new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

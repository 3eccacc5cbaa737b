"""Batch normalisations that have learnt, as what they are by then: one affine map a channel."""

from torch import Tensor, nn

__all__ = ["with_affine_norms"]

_KNOWN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def with_affine_norms(network: nn.Module) -> bool:
    """Replace, in place, the batch normalisations that go by the statistics that they keep.

    Parameters
    ----------
    network : nn.Module
        In ``eval()`` mode. What is of another class than torch's own layers, or normalises by the
        batch at hand, stays.

    Returns
    -------
    bool
        Whether there was one.
    """
    found = False
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) in _KNOWN and not layer.training and layer.running_mean is not None:
                setattr(parent, name, _Affine(layer))
                found = True
    return found


class _Affine(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        names = ("running_mean", "running_var", "weight", "bias", "eps")
        mean, variance, weight, bias, eps = (getattr(layer, name) for name in names)
        scale = (variance.detach() + eps).rsqrt()
        if weight is not None:
            scale = scale * weight.detach()
        shift = -mean.detach() * scale
        if bias is not None:
            shift = shift + bias.detach()
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        return x * self.scale.view(shape) + self.shift.view(shape)

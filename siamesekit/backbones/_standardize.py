"""A layer that standardises features, of whatever scale and offset they are."""

import torch
from torch import Tensor, nn

__all__ = ["Standardize"]


class Standardize(nn.Module):
    """Bring each feature to mean 0 and deviation 1: by the batch in training, else by their mean.

    As ``nn.BatchNorm1d(features, affine=False, momentum=None)``, but without its ``eps``, beside
    which a variance below 1e-5 counts for nothing, and without squares of numbers as they come,
    which run out of float32 from 1e19 up and 1e-19 down. A feature that is constant in a batch (or
    differs by rounding alone) becomes 0.

    Parameters
    ----------
    features : int

    Attributes
    ----------
    mean, deviation : Tensor of float32, shape (features,)
        Mean, and root of the mean square, over the batches of training.
    batches : Tensor of int64, shape ()
        How many there were.
    """

    mean: Tensor
    deviation: Tensor
    batches: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised features.

        Parameters
        ----------
        x : Tensor of float, shape (b, f)

        Returns
        -------
        Tensor of float, shape (b, f)
        """
        if not self.training:
            varies = self.deviation != 0
            return torch.where(varies, (x - self.mean) / self.deviation.where(varies, 1.0), 0.0)
        size = x.abs().amax(0).clamp_min(torch.finfo(x.dtype).tiny)
        mean = (x / size).mean(0) * size
        centred = x - mean
        reach = centred.abs().amax(0)
        # Put so that what is not a number is not taken for constant: it comes out as it went in.
        varies = ~(reach <= 4 * torch.finfo(x.dtype).eps * size)
        reach = reach.where(varies, 1.0)
        centred = (centred / reach).where(varies, 0.0)
        deviation = centred.square().mean(0).sqrt()
        self._remember(mean, (deviation * reach).where(varies, 0.0))
        return centred / deviation.where(varies, 1.0)

    @torch.no_grad()
    def _remember(self, mean: Tensor, deviation: Tensor) -> None:
        known = self.deviation.where(self.batches > 0, 0.0)
        self.batches.add_(1)
        # A plain average is right from the first batch, however few there are.
        share = 1.0 / self.batches
        self.mean.add_((mean - self.mean) * share)
        largest = torch.maximum(known, deviation)
        unit = largest.where(largest != 0, 1.0)
        before, now = (known / unit).square(), (deviation / unit).square()
        self.deviation.copy_((before + (now - before) * share).sqrt() * unit)

"""Embeddings of many items, batch by batch."""

import torch
from torch import Tensor, nn

from siamesekit.training.device import autocast
from siamesekit.training.items import as_float

__all__ = ["embed_batch", "embed_items"]

_BATCH = 256
# Numbers in a batch on a processor, at most: what large images become in the first layers would
# otherwise go to memory and back (95 of 105×105 pixels: 1.4 times as fast as 256).
_PROCESSOR_NUMBERS = 1 << 20


def embed_batch(backbone: nn.Module, x: Tensor, precision: torch.dtype) -> Tensor:
    """Return the embeddings of a float batch, in float32, shape (b, d).

    Parameters
    ----------
    backbone : nn.Module
    x : Tensor of float, shape (b, c, h, w) or (b, f)
    precision : torch.dtype
        Type in which the backbone computes.
    """
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    with autocast(x.device, precision):
        embeddings: Tensor = backbone(x)
    return embeddings.float()


@torch.inference_mode()
def embed_items(
    backbone: nn.Module, items: Tensor, device: torch.device, precision: torch.dtype
) -> Tensor:
    """Return the embeddings of all items, each embedded once, on `device`.

    Parameters
    ----------
    backbone : nn.Module
        On `device`. It is in ``eval()`` mode for as long as this takes.
    items : Tensor of uint8, bool or float, shape (n, c, h, w) or (n, f)
    device : torch.device
    precision : torch.dtype

    Returns
    -------
    Tensor of float32, shape (n, d)
    """
    was_training = backbone.training
    backbone.eval()
    try:
        batches = [
            embed_batch(backbone, as_float(block.to(device)), precision)
            for block in torch.split(items, _batch_size(items, device))
        ]
    finally:
        backbone.train(was_training)
    return torch.cat(batches)


def _batch_size(items: Tensor, device: torch.device) -> int:
    if device.type != "cpu":
        return _BATCH
    return min(_BATCH, max(1, _PROCESSOR_NUMBERS // max(1, items[:1].numel())))

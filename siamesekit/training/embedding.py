"""Embeddings of many items, batch by batch."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from siamesekit._checks import check_kind
from siamesekit.backbones.outputs import embeddings_in
from siamesekit.errors import InvalidDataError, SiamesekitError
from siamesekit.training.device import autocast, resolve_device
from siamesekit.training.distributed import current
from siamesekit.training.fingerprint import digest
from siamesekit.training.items import Items, TensorItems, as_protocol, blocks_of, own_float
from siamesekit.training.progress import counted

__all__ = ["embed_batch", "embed_items", "in_short", "memory_format"]

_PLAIN = torch.contiguous_format

_BATCH = 256
# Items, about, by which processes see whether they were given the same.
_COMPARED = 64
# Numbers in a batch on a processor, at most: what large images become in the first layers would
# otherwise go to memory and back (95 of 105×105 pixels: 1.4 times as fast as 256).
_PROCESSOR_NUMBERS = 1 << 20
# Vectors that a backbone gets at once on a processor: so many, exactly. Kernels for other numbers
# of rows round otherwise, and an embedding, with all that is answered by it, would depend on how
# many items are asked about at once. 96 rows are whole tiles of kernels (6, 8, 16 or 48 rows),
# shared out to 2, 4 or 8 threads too: what is left of a tile rounds otherwise as well.
_VECTORS = 96


def embed_batch(backbone: nn.Module, x: Tensor, precision: torch.dtype) -> Tensor:
    """Return the embeddings of a float batch, in float32, shape (b, d).

    Parameters
    ----------
    backbone : nn.Module
        What it may return: see `siamesekit.backbones.outputs`. Images come to it with channels
        last in memory where it says ``channels_last = True``, and else as ``view`` expects them.
    x : Tensor of float, shape (b, c, h, w) or (b, f)
        The backbone may work in place on it. A network all of whose weights are of another type
        (``.double()``, ``.half()``) gets it in that type.
    precision : torch.dtype
        Type in which the backbone computes.

    Raises
    ------
    InvalidDataError
        If what the backbone returns is no batch of embeddings, or it cannot take the batch.
    """
    x = x.to(_type_of(backbone))
    x = x.contiguous(memory_format=memory_format(backbone) if x.ndim == 4 else _PLAIN)
    shape = tuple(x.shape)  # before the backbone has it
    try:
        with autocast(x.device, precision):
            output = backbone(x)
    except (SiamesekitError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise InvalidDataError(
            f"backbone {type(backbone).__name__} cannot take items of shape {shape[1:]} (in "
            f"batches of any size, here {shape[0]}): {type(error).__name__}: {error}"
        ) from error
    embeddings = embeddings_in(output, backbone, shape[0])
    return embeddings if type(embeddings) is Tensor else embeddings.as_subclass(Tensor)


def _type_of(backbone: nn.Module) -> torch.dtype:
    """Return the type of a network's weights if they are of one type, else float32."""
    types = {p.dtype for p in backbone.parameters() if p.is_floating_point()}
    return types.pop() if len(types) == 1 else torch.float32


def memory_format(backbone: nn.Module) -> torch.memory_format:
    """Return the order in memory in which a backbone wants images and its own weights."""
    wants = getattr(backbone, "channels_last", False) is True
    return torch.channels_last if wants else _PLAIN


# Not inference_mode: what a module caches in its first pass must serve in training too.
@torch.no_grad()
def embed_items(
    backbone: nn.Module, items: Tensor | Items, device: torch.device, precision: torch.dtype
) -> Tensor:
    """Return the embeddings of all items, each embedded once, on `device`.

    Processes that work together (see `siamesekit.training.joined`) embed a share each, and each
    gets the embeddings of all.

    Parameters
    ----------
    backbone : nn.Module
        On `device`. It is in ``eval()`` mode for as long as this takes.
    items : Tensor of uint8, bool or float, or Items, shape (n, c, h, w) or (n, f)
        Of those that are read when needed, a few batches are in memory at once.
    device : torch.device
    precision : torch.dtype

    Returns
    -------
    Tensor of float32, shape (n, d)

    Raises
    ------
    InvalidDataError
        If `items` are none, or what the backbone returns is no batch of embeddings.
    InvalidParameterError
        If another argument is not as said.
    DistributedError
        If processes that work together were given other items, or one is missing.
    """
    check_kind("backbone", backbone, nn.Module)
    own = as_protocol(items)
    check_kind("precision", precision, torch.dtype)
    device = resolve_device(device)
    team = current()
    if team is None:
        return _embed_blocks(backbone, own, device, precision)
    team.agree({"the items to embed": in_short(own)})
    if len(own) < team.size:
        return _embed_blocks(backbone, own, device, precision)
    rows = team.own(len(own))
    share = _embed_blocks(backbone, own[rows], device, precision)
    # Shares take unlike times, where they are read from files above all.
    team.wait()
    return team.gather(share, rows, len(own))


def _embed_blocks(
    backbone: nn.Module, items: Items, device: torch.device, precision: torch.dtype
) -> Tensor:
    was_training = backbone.training
    backbone.eval()
    try:
        batches = [
            _embed_in_company(backbone, own_float(batch, device), size, precision)
            for block, size in counted(
                _blocks(items, device), len(items), "embedding", " items", lambda pair: len(pair[0])
            )
            for batch in torch.split(block, size)
        ]
    finally:
        backbone.train(was_training)
    return torch.cat(batches)


def _embed_in_company(backbone: nn.Module, x: Tensor, size: int, precision: torch.dtype) -> Tensor:
    """Return the embeddings of a batch; vectors are filled up to `size`.

    Not so images: each has kernels' work of its own, and one would take as long as a batch.
    """
    n = len(x)
    if x.ndim != 2 or n == size:
        return embed_batch(backbone, x, precision)
    company = x[-1:].expand(size - n, -1)
    return embed_batch(backbone, torch.cat([x, company]), precision)[:n]


def in_short(items: Tensor | Items) -> str:
    """Return a digest by which processes see whether they were given the same items.

    Parameters
    ----------
    items : Tensor or Items
        Of a tensor some of the items are looked at, from its first to its last.
    """
    own = items if isinstance(items, Items) else TensorItems(items)
    if not isinstance(own, TensorItems):
        return digest((own.shape, own.content()))
    some = own.tensor[:: max(1, len(own) // _COMPARED)]
    return digest((own.shape, some, own.tensor[-1:]))


def _blocks(items: Items, device: torch.device) -> Iterator[tuple[Tensor, int]]:
    """Yield all items in blocks, with the size of the batches that these hold."""
    size = _batch_size(items, device)
    # What is read ahead comes in larger blocks: whole batches, so that these are the same.
    whole = size * max(1, getattr(items, "block", size) // size)
    for block in blocks_of(items, whole):
        yield block, size


def _batch_size(items: Items, device: torch.device) -> int:
    if device.type != "cpu":
        return _BATCH
    most = _VECTORS if len(items.shape) == 2 else _BATCH
    return min(most, max(1, _PROCESSOR_NUMBERS // max(1, math.prod(items.shape[1:]))))

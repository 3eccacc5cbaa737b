"""Which layers of a network learn, and what stands still with those that do not."""

from torch import nn

from siamesekit._checks import check_integer, shown
from siamesekit.errors import InvalidParameterError

__all__ = ["learning_layers", "still_norms", "train_last"]


def learning_layers(network: nn.Module) -> list[nn.Module]:
    """Return the modules of a network that have weights of their own, in the order it lists them.

    Networks list their modules in the order in which an item passes them, with few exceptions
    (the convolution of a shortcut comes after those that it leads past).

    Parameters
    ----------
    network : nn.Module
    """
    return [m for m in network.modules() if next(m.parameters(recurse=False), None) is not None]


def train_last(network: nn.Module, n_trainable: int | None) -> None:
    """Let the last layers of a network learn, and none before them.

    Parameters
    ----------
    network : nn.Module
        Changed in place: the ``requires_grad`` of its weights.
    n_trainable : int or None
        Layers that learn, counted from the end among `learning_layers`: a convolution is one, and
        its normalisation, if it has weights, is another. 0 freezes all, None lets all learn.

    Raises
    ------
    InvalidParameterError
        If the network has fewer layers.
    """
    if not isinstance(network, nn.Module):
        raise InvalidParameterError(f"network must be a Module; got {shown(network)}.")
    layers = learning_layers(network)
    if n_trainable is None:
        n_trainable = len(layers)
    check_integer("n_trainable", n_trainable, low=0, high=len(layers))
    network.requires_grad_(False)
    for layer in layers[len(layers) - n_trainable :]:
        for weight in layer.parameters(recurse=False):
            weight.requires_grad_(weight.is_floating_point())


def still_norms(network: nn.Module) -> None:
    """Put normalisations that do not learn into ``eval()`` mode: their statistics stay.

    Those are the batch and instance normalisations none of whose weights is trained, and those
    without weights where nothing in the network is.

    Parameters
    ----------
    network : nn.Module
        In ``train()`` mode. Changed in place.
    """
    trained = [p.requires_grad for p in network.parameters()]
    frozen = bool(trained) and not any(trained)
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._NormBase):
            own = [p.requires_grad for p in layer.parameters()]
            if not any(own) if own else frozen:
                layer.eval()

"""Networks compiled for as long as they are trained."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from siamesekit.training.line import TrainingLine

__all__ = ["compiled"]


@contextmanager
def compiled(line: TrainingLine, some: Tensor) -> Iterator[None]:
    """Run a block in which a line's backbone and head are compiled by ``torch.compile``.

    They stay the modules that they are, with the names of their weights, and are as before after
    the block: what is copied, pickled, saved and served is not compiled.

    Parameters
    ----------
    line : TrainingLine
    some : Tensor of float, shape (n, c, h, w) or (n, f)
        Items to try it on, on the line's device.

    Warns
    -----
    UserWarning
        If they cannot be compiled here (no compiler on this machine, say); the block then runs
        without.
    """
    modules: tuple[nn.Module, ...] = (line.backbone, line.head)
    before = [module._compiled_call_impl for module in modules]
    for module in modules:
        module.compile()
    try:
        reason = _why_not(line, some)
        if reason is not None:
            _set(modules, before)
            warnings.warn(
                f"backbone and head cannot be compiled here ({reason}); training goes on without. "
                "compile=False says nothing.",
                stacklevel=2,
            )
        yield
    finally:
        _set(modules, before)


def _why_not(line: TrainingLine, some: Tensor) -> str | None:
    """Return what went wrong in a pass of compiled modules that works without, or None."""
    was_training = line.training
    line.eval()
    try:
        with torch.no_grad():
            embeddings = line.embed(some.clone())
            line.head(embeddings, embeddings)
    except Exception as error:
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        # The compiler's own words are in the second line; advice to its developers follows.
        said = " ".join(str(root).split("\n")[:2])
        return f"{type(root).__name__}: {said}"
    finally:
        line.train(was_training)
    return None


def _set(modules: tuple[nn.Module, ...], calls: list[Any]) -> None:
    """Give modules the calls that they had: those that a user compiled stay so."""
    for module, call in zip(modules, calls, strict=True):
        module._compiled_call_impl = call

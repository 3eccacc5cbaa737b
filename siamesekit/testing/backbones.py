"""What a backbone must do."""

import torch
from torch import Tensor

from siamesekit._types import Shape
from siamesekit.backbones import Backbone
from siamesekit.errors import InvalidDataError
from siamesekit.testing._distributed import check_with_ddp
from siamesekit.testing._findings import (
    CLASSES,
    EACH,
    Findings,
    check_gradient_of_weights,
    is_close,
)

__all__ = ["BASE", "check"]

BASE = Backbone

_SHAPES: tuple[Shape, ...] = ((1, 28, 28), (16,), (1, 64, 64), (3, 105, 105))
"""Shapes of items offered to a backbone; it is checked on the first that it takes."""


def check(part: Backbone, found: Findings) -> None:
    """Build it for some shape of items, train a step, embed, and finish.

    Parameters
    ----------
    part : Backbone
    found : Findings
        Takes what is missing.
    """
    shape = None
    with found.attempt("build(input_shape)"):
        shape = _build_for_some_shape(part)
        offered = ", ".join(map(str, _SHAPES))
        found.expect(shape is not None, f"build must take items of one of the shapes {offered}")
    if shape is None:
        return
    items = torch.rand(6, *shape)
    given = items.clone()
    with found.attempt("build for the same shape again"):
        before = list(part.parameters())
        kept = list(part.build(shape).parameters())
        found.expect(
            len(before) == len(kept) and all(a is b for a, b in zip(before, kept, strict=True)),
            "build must keep the weights that are there already",
        )
    with found.attempt("a step of training"):
        embeddings = part.train()(items)
        if not found.expect_tensor(embeddings, "forward"):
            return
        check_gradient_of_weights(part, embeddings, found)
        found.expect(
            torch.equal(items, given), "forward must leave the items that it is given as they are"
        )
    with found.attempt("embedding in eval() mode"), torch.no_grad():
        _check_embeddings(part.eval(), items, found)
    with found.attempt("embedding in bfloat16"), torch.no_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            coarse = part(items)
        found.expect(coarse.isfinite().all(), "embeddings must be finite under bfloat16 autocast")
    check_with_ddp(found, backbone=part, items=torch.rand(CLASSES * EACH, *shape))
    with found.attempt("finish(embed, labels)"), torch.no_grad():
        _check_finish(part, items, found)


def _check_finish(part: Backbone, items: Tensor, found: Findings) -> None:
    finished = part.finish(lambda network: network.eval()(items), torch.arange(len(items)) % 3)
    if not isinstance(finished, torch.nn.Module):
        found.expect(False, f"finish must return an nn.Module; got {type(finished).__name__}")
        return
    embeddings = finished.eval()(items)
    found.expect(
        embeddings.ndim == 2 and len(embeddings) == len(items),
        "what finish returns must return embeddings of shape (b, d); "
        f"got {tuple(embeddings.shape)} for b = {len(items)}",
    )


def _build_for_some_shape(part: Backbone) -> Shape | None:
    if part.input_shape is not None:
        return part.input_shape
    for shape in _SHAPES:
        try:
            part.build(shape)
        except InvalidDataError:
            continue
        return shape
    return None


def _check_embeddings(part: Backbone, items: Tensor, found: Findings) -> None:
    embeddings = part(items)
    found.expect(
        embeddings.ndim == 2 and len(embeddings) == len(items) and embeddings.dtype == items.dtype,
        "forward must return embeddings of float32, as the items are, of shape (b, d); "
        f"got {embeddings.dtype} of shape {tuple(embeddings.shape)} for b = {len(items)}",
    )
    found.expect(embeddings.isfinite().all(), "embeddings must be finite")
    found.expect(
        torch.equal(part(items), embeddings), "eval() mode must give the same embeddings twice"
    )
    found.expect(_differ(embeddings), "different items must not all get the same embedding")
    alone = part(items[:1])
    found.expect(
        alone.shape == embeddings[:1].shape,
        "forward must return embeddings of shape (b, d) of one item too (squeeze takes that "
        f"dimension away); got {tuple(alone.shape)} for b = 1",
    )
    some = torch.tensor([4, 0, 3, 1])
    found.expect(
        is_close(part(items[some]), embeddings[some]),
        "in eval() mode an embedding must depend on its own item alone, not on the order or the "
        "rest of the batch",
    )


def _differ(embeddings: Tensor) -> bool:
    """Return whether any two embeddings differ by more than rounding does.

    Items here are noise, and to what averages over many pixels all noise is nearly alike.
    """
    apart = (embeddings[1:] - embeddings[:-1]).abs().max()
    return bool(apart > 1e-6 * embeddings.abs().max())

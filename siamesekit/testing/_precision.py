"""Types of numbers: what comes in float32 or float64 leaves in it, and bfloat16 will do."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from siamesekit.heads import Head
from siamesekit.losses import Loss
from siamesekit.testing._findings import DIM, Findings, is_finite

__all__ = ["check_precision_of_head", "check_precision_of_loss"]

# bfloat16 has 8 digits in base 2; what sums a few numbers of it stays within this share.
_COARSE = 0.1

_EXACT = (torch.float32, torch.float64)
_REMEDY = (
    "make new tensors in the type of what is given (new_zeros, dtype=x.dtype), and let no NumPy "
    "array in between"
)


def check_precision_of_head(part: Head, found: Findings) -> None:
    """Compare embeddings of float32, of float64, and of bfloat16 under autocast.

    Parameters
    ----------
    part : Head
        Built.
    found : Findings
        Takes what is missing.
    """
    a, b = torch.randn(5, DIM), torch.randn(5, DIM)
    # Two equal items: the root of a difference that is rounded below 0 is not a number.
    b[:2] = a[:2]
    for form in ("forward", "pairs"):
        for dtype in _EXACT:
            what = f"{form} of {_short(dtype)} embeddings"
            with found.attempt(what):
                scores = getattr(copy.deepcopy(part).to(dtype), form)(a.to(dtype), b.to(dtype))
                _expect_type(scores, dtype, what, found)

        def compared(x: Tensor, form: str = form) -> Tensor:
            scores: Tensor = getattr(part, form)(x, b.to(x.dtype))
            return scores

        _check_bfloat16(compared, a, f"{form} of bfloat16 embeddings, under autocast,", found)


def check_precision_of_loss(part: Loss, inputs: Tensor, labels: Tensor, found: Findings) -> None:
    """Charge a batch of float32, of float64, and of bfloat16 under autocast.

    Parameters
    ----------
    part : Loss
        Built. It is left as it is.
    inputs : Tensor of float32
        As it takes.
    labels : Tensor of int64, shape (b,)
    found : Findings
        Takes what is missing.
    """
    # On embeddings, many compute in float32 whatever comes: pytorch-metric-learning's do.
    for dtype in _EXACT if part.takes == "scores" else _EXACT[:1]:
        what = f"the loss of {_short(dtype)} {part.takes}"
        with found.attempt(what):
            value = copy.deepcopy(part).to(dtype)(inputs.to(dtype), labels)
            _expect_type(value, dtype, what, found)

    def charged(x: Tensor) -> Tensor:
        # What a loss remembers of one call must not tell in the next.
        value: Tensor = copy.deepcopy(part)(x, labels)
        return value

    _check_bfloat16(charged, inputs, f"the loss of bfloat16 {part.takes}, under autocast,", found)


def _expect_type(value: object, dtype: torch.dtype, what: str, found: Findings) -> None:
    # What is no Tensor is told elsewhere.
    if isinstance(value, Tensor):
        found.expect(
            value.dtype == dtype,
            f"{what} must be {_short(dtype)}; got {_short(value.dtype)}: {_REMEDY}",
        )


def _check_bfloat16(
    compute: Callable[[Tensor], Tensor], given: Tensor, what: str, found: Findings
) -> None:
    with found.attempt(f"computing {what.rstrip(',')}"):
        coarse = given.bfloat16()
        exact = compute(coarse.float())
        if not isinstance(exact, Tensor):
            return  # told elsewhere
        leaf = coarse.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = compute(leaf)
        finite = bool(value.isfinite().all())
        found.expect(
            finite,
            f"{what} must be finite: compute in float32 (x.float()) what has roots, logarithms or "
            "small differences",
        )
        if not finite:
            return
        room = _COARSE * float(exact.detach().abs().max())
        found.expect(
            torch.allclose(value.detach().float(), exact.detach().float(), rtol=0, atol=room),
            f"{what} must be that of float32 to {_COARSE:.0%}: compute in float32 (x.float()) "
            "what sums many numbers or takes small differences",
        )
        if value.requires_grad:
            value.float().sum().backward()  # type: ignore[no-untyped-call]
            found.expect(
                is_finite(leaf.grad), f"the gradient of {what} must be finite, also at equal items"
            )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

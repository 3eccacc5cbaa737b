"""What a head must do."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamesekit.estimators._exporting import known_head
from siamesekit.heads import Head
from siamesekit.heads.base import is_of_any_length
from siamesekit.testing._distributed import check_with_ddp
from siamesekit.testing._findings import DIM, Findings, is_close, is_finite
from siamesekit.testing._precision import check_precision_of_head

__all__ = ["BASE", "check"]

BASE = Head


def check(part: Head, found: Findings) -> None:
    """Compare embeddings with each other and with themselves, alone and in company.

    Parameters
    ----------
    part : Head
    found : Findings
        Takes what is missing.
    """
    gives = getattr(part, "gives", None)
    found.expect(
        gives in ("logit", "distance"),
        'the class must say gives = "logit" or gives = "distance"',
    )
    with found.attempt("build(dim)"):
        part.build(DIM)
    part.eval()
    a, b = torch.randn(5, DIM), torch.randn(7, DIM)
    given = a.clone(), b.clone()
    with found.attempt("comparing"), torch.no_grad():
        scores, aligned = part(a, b), part.pairs(a, b[:5])
        if not (torch.equal(a, given[0]) and torch.equal(b, given[1])):
            found.expect(False, "it must leave the embeddings that it is given as they are")
            return
        # Both are asked, so that both are told.
        if not found.expect_tensor(scores, "forward") & found.expect_tensor(aligned, "pairs"):
            return
        found.expect(
            scores.shape == (5, 7),
            "forward must return scores of shape (m, n) for (m, d) against (n, d); "
            f"got {tuple(scores.shape)} for m = 5, n = 7",
        )
        found.expect(
            aligned.shape == (5,),
            f"pairs must return scores of shape (n,); got {tuple(aligned.shape)} for n = 5",
        )
        found.expect(
            is_close(aligned, scores[:, :5].diagonal()),
            "pairs(a, b) must equal the diagonal of forward(a, b)",
        )
        found.expect(is_close(part(b, a).T, scores), "head(a, b) must equal head(b, a).T")
        found.expect(
            is_close(part(a[1:2], b[2:4]), scores[1:2, 2:4]),
            "a score must depend on its two items alone, not on what else is compared",
        )
    if gives == "distance":
        with found.attempt("comparing items with themselves"), torch.no_grad():
            among = part(a, a)
            found.expect(
                (among.diagonal()[:, None] >= among - 1e-4).all(),
                "higher must mean more alike: an item scores lower with itself than with another",
            )
    if is_of_any_length(part):
        with found.attempt("comparing copies side by side"), torch.no_grad():
            _check_copies(part, a, b, found)
    for form, compare in (("forward", part.forward), ("pairs", part.pairs)):
        with found.attempt(f"the gradient of {form}"):
            _check_gradient_of_head(part, form, compare, found)
    check_precision_of_head(part, found)
    check_with_ddp(found, head=part)
    if not found.missing:
        with found.attempt("being read from an exported folder"):
            known_head(part, DIM)


def _check_copies(part: Head, a: Tensor, b: Tensor, found: Findings) -> None:
    long_a, long_b = (torch.cat([z] * 4, 1) / 2 for z in (a, b))
    found.expect(
        is_close(part(long_a, long_b), part(a, b))
        and is_close(part.pairs(long_a, long_b[:5]), part.pairs(a, b[:5])),
        "of_any_length = True says that k copies of each embedding side by side, divided by the "
        "square root of k, score as one does",
    )


def _check_gradient_of_head(
    part: Head, form: str, compare: Callable[[Tensor, Tensor], Tensor], found: Findings
) -> None:
    # The first rows are equal: there the root of a distance has no finite slope of its own.
    a = torch.randn(5, DIM).requires_grad_()
    b = torch.cat([a.detach()[:2], torch.randn(3, DIM)]).requires_grad_()
    part.zero_grad()
    scores = compare(a, b)
    scores.sum().backward()  # type: ignore[no-untyped-call]
    found.expect(
        all(is_finite(x.grad) for x in (a, b)),
        f"the gradient of {form} must reach both embeddings and be finite, also where two are "
        "equal",
    )
    without = [name for name, weight in part.named_parameters() if not is_finite(weight.grad)]
    found.expect(
        not without, f"no finite gradient of {form} reaches its weights {', '.join(without)}"
    )

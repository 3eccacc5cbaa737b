"""Not-a-number and infinity, through every line of the zoo: at once, and never as a number.

Whatever an embedding or a score holds, a miner returns and chooses only what is known, and a loss
that is given a NaN gives one.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from siamesekit import registry
from siamesekit._float_order import last_that_meets
from siamesekit._random import drawing_from
from siamesekit._types import Pairs, Triplets, Tuples
from siamesekit.heads import Head
from siamesekit.losses import batch_all_triplet_loss, batch_all_triplet_loss_from_embeddings

DIM, CLASSES, EACH = 6, 4, 4
LABELS = torch.arange(CLASSES).repeat_interleave(EACH)
HEADS = [name for name in registry.names("heads") if ":" not in name]
LOSSES = registry.names("losses")
MINERS = registry.names("miners")
ON_SCORES = [name for name in LOSSES if registry.get("losses", name).takes == "scores"]
ON_EMBEDDINGS = [name for name in LOSSES if name not in ON_SCORES]
MINING_SCORES = [name for name in MINERS if ":" not in name]
MINING_EMBEDDINGS = [name for name in MINERS if ":" in name]


def nan_of(negative: bool) -> Tensor:
    """Return a NaN whose sign bit is said; arithmetic gives either, by processor and operation."""
    bits = torch.tensor([0xFFC00000 - 2**32 if negative else 0x7FC00000], dtype=torch.int32)
    return bits.view(torch.float32)[0]


SPOILT = {
    "NaN": nan_of(False),
    "-NaN": nan_of(True),
}


@contextmanager
def at_once(seconds: float = 5.0) -> Iterator[None]:
    """Fail if what is within takes long; a loop without an end is ended by the suite's limit."""
    begun = time.perf_counter()
    yield
    assert time.perf_counter() - begun < seconds


def embeddings_with(kind: str) -> Tensor:
    z = torch.randn(CLASSES * EACH, DIM, generator=torch.Generator().manual_seed(0))
    if kind in SPOILT:
        z[5, 2] = SPOILT[kind]
    elif kind == "inf":
        z[5, 2] = torch.inf
    elif kind == "blank":
        # What a network z / |z| without a guard makes of a blank picture.
        z[5] = 0
        z = z / z.norm(dim=1, keepdim=True)
    elif kind == "1e20":
        z = 1e20 * z
    return z


def head_of(name: str) -> Head:
    with drawing_from(0):
        head: Head = registry.create("heads", name).build(DIM).eval()
    return head


def scores_with(kind: str, head: str) -> Tensor:
    z = embeddings_with(kind)
    with torch.no_grad():
        return head_of(head)(z, z)


def check_choice(chosen: Tuples, known: Tensor) -> None:
    """Check that what is chosen has labels as it must, and is known: a mask (b, b) or (b,)."""
    columns = list(zip(*(x.tolist() for x in chosen), strict=True))
    for first, *others in columns:
        for other in others:
            pair_known = known[first, other] if known.ndim == 2 else known[first] & known[other]
            assert pair_known, f"{(first, *others)} is not known"
        if isinstance(chosen, Triplets):
            positive, negative = others
            assert first != positive
            assert LABELS[first] == LABELS[positive]
            assert LABELS[first] != LABELS[negative]


KINDS = ["NaN", "-NaN", "inf", "blank", "1e20"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", HEADS)
def test_every_miner_chooses_from_scores_what_is_known(head: str, kind: str) -> None:
    scores = scores_with(kind, head)
    for miner in MINING_SCORES:
        with at_once():
            chosen = registry.create("miners", miner)(scores, LABELS)
        check_choice(chosen, ~scores.isnan())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("miner", MINING_EMBEDDINGS)
def test_every_miner_chooses_from_embeddings_what_is_known(miner: str, kind: str) -> None:
    z = embeddings_with(kind)
    with drawing_from(0), at_once():
        chosen = registry.create("miners", miner)(z, LABELS)
    check_choice(chosen, z.square().sum(1).isfinite())


@pytest.mark.parametrize("kind", ["NaN", "-NaN", "blank"])
@pytest.mark.parametrize("head", HEADS)
def test_every_loss_on_scores_is_not_a_number(head: str, kind: str) -> None:
    z = embeddings_with(kind).requires_grad_()
    scores = head_of(head)(z, z)
    assert scores.isnan().any()
    for name in ON_SCORES:
        loss = registry.create("losses", name)
        for miner in [None, *MINING_SCORES]:
            tuples = None if miner is None else registry.create("miners", miner)(scores, LABELS)
            with at_once():
                try:
                    value = loss(scores, LABELS, tuples)
                except ValueError:
                    assert miner is not None  # It takes no miner, or none of this kind.
                    continue
            assert value.isnan(), f"{name} of {miner}: {value}"
            (grad,) = torch.autograd.grad(value, scores, retain_graph=True, allow_unused=True)
            assert grad is None or grad.isnan().any() or not grad.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ON_EMBEDDINGS)
def test_every_loss_on_embeddings_is_not_a_number(name: str, kind: str) -> None:
    z = embeddings_with(kind).requires_grad_()
    some = Triplets(torch.tensor([0, 8]), torch.tensor([1, 9]), torch.tensor([4, 12]))
    with drawing_from(0):
        loss = registry.create("losses", name).build(DIM, CLASSES)
        for tuples in (None, some, Triplets.empty(), Pairs.empty()):
            with at_once():
                try:
                    value = loss(z, LABELS, tuples)
                except ValueError:
                    assert tuples is not None
                    continue
            empty = tuples is not None and not len(tuples[0])
            # An empty choice charges nothing, of numbers that are some.
            assert value.isnan() or (empty and value == 0 and not z.isnan().any())
            assert value.requires_grad


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", ["inf", "1e20"])
def test_overflow_is_never_a_wrong_number(head: str, kind: str) -> None:
    z = embeddings_with(kind).requires_grad_()
    scores = head_of(head)(z, z)
    for name in ON_SCORES:
        loss = registry.create("losses", name)
        with at_once():
            value = loss(scores, LABELS)
        if scores.isnan().any():
            assert value.isnan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("place", [(0, 1), (0, 2), (3, 3), None])
def test_one_score_is_enough(
    place: tuple[int, int] | None, negative: bool, dtype: torch.dtype
) -> None:
    labels = torch.tensor([0, 0, 1, 1])
    scores = -torch.rand(4, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    nan = nan_of(negative).to(dtype)
    if place is None:
        scores.fill_(nan)
    else:
        scores[place] = nan
    for name in ON_SCORES:
        with at_once():
            assert registry.create("losses", name)(scores, labels).isnan()
    for name in MINING_SCORES:
        with at_once():
            chosen = registry.create("miners", name)(scores, labels)
        for other in chosen[1:]:
            assert not scores[chosen[0], other].isnan().any()
        if place is None:
            assert not len(chosen[0])


@pytest.mark.parametrize("negative", [False, True])
def test_distances_that_are_no_number_have_no_mean(negative: bool) -> None:
    d, labels = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    d[1, 4] = nan_of(negative)
    with at_once():
        for result in (
            batch_all_triplet_loss(d, labels, 0.2),
            batch_all_triplet_loss_from_embeddings(
                d, labels, 0.2, lambda a, b: (a[:, None] - b).abs().sum(2), block=4
            ),
        ):
            assert result.mean.isnan()
            assert result.active.isnan()
            assert int(result.n_triplets) == 36


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("negative", [False, True])
def test_bisection_ends_whatever_it_starts_from(negative: bool, dtype: torch.dtype) -> None:
    guess = torch.stack(
        [nan_of(negative), *torch.tensor([math.inf, -math.inf, 0.0, 3e38, -3e38])]
    ).to(dtype)
    with at_once():
        assert (last_that_meets(lambda x: x <= 1.5, guess) == 1.5).all()
        assert (last_that_meets(lambda x: x <= math.inf, guess) == math.inf).all()
        assert (last_that_meets(lambda x: x < x, guess) == -math.inf).all()


@pytest.mark.parametrize("infinity", [math.inf, -math.inf])
def test_infinite_scores_make_no_wrong_pairs(infinity: float) -> None:
    generator = torch.Generator().manual_seed(0)
    for share in (0.2, 0.6, 1.0):
        scores = -torch.rand(16, 16, generator=generator)
        scores[torch.rand(16, 16, generator=generator) < share] = infinity
        for name in MINING_SCORES:
            with at_once():
                chosen = registry.create("miners", name)(scores, LABELS)
            check_choice(chosen, torch.ones(16, 16, dtype=torch.bool))
            if name == "batch-hard":
                assert len(chosen[0]) == 16
            if name == "hard-pairs":
                same = LABELS[chosen[0]] == LABELS[chosen[1]]
                assert same.any()
                assert not same.all()

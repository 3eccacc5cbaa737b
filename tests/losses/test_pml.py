"""The zoo: every loss of pytorch-metric-learning that is listed learns real digits."""

import copy
import inspect
import pickle

import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import Tensor, nn

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit._types import Pairs, Triplets
from siamesekit.errors import (
    InvalidDataError,
    InvalidParameterError,
    NotBuiltError,
    UnknownPartError,
)
from siamesekit.losses import pml

LOSSES = [f"pml:{name}" for name in pml.fitting()]

# Made to be added to another loss; alone it evens out similarities and tells nothing apart.
REGULARISERS = {"pml:IntraPairVarianceLoss"}


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    X, y = load_digits(return_X_y=True)
    return torch.from_numpy(X).float() / 16, torch.from_numpy(y)


def neighbour_margin(z: Tensor, y: Tensor) -> float:
    """Return how much nearer, in standard deviations, same digits are than different ones."""
    unit = nn.functional.normalize(z, dim=1)
    cosine = unit @ unit.T
    same = y[:, None] == y[None, :]
    off = ~torch.eye(len(y), dtype=torch.bool)
    return float((cosine[same & off].mean() - cosine[~same].mean()) / cosine[off].std())


@pytest.mark.parametrize("name", LOSSES)
def test_every_listed_loss_learns(name: str, digits: tuple[Tensor, Tensor]) -> None:
    X, y = digits
    by_class = [torch.nonzero(y[:1000] == c).squeeze(1) for c in range(10)]

    def batch(step: int) -> Tensor:
        draw = torch.Generator().manual_seed(step)
        return torch.cat([own[torch.randperm(len(own), generator=draw)[:6]] for own in by_class])

    with drawing_from(0):
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
        loss = registry.create("losses", name).build(16, 10)
        optimizer = torch.optim.Adam([*net.parameters(), *loss.parameters()], lr=3e-3)
    # Losses of tuples, which have no weights, take time and memory in the cube of the batch.
    each = 25 if any(True for _ in loss.parameters()) else 12
    held_out = torch.cat([1000 + torch.nonzero(y[1000:] == c).squeeze(1)[:each] for c in range(10)])

    def measure() -> tuple[float, float]:
        with torch.no_grad():
            z = net(X[held_out])
            return float(loss(z, y[held_out])), neighbour_margin(z, y[held_out])

    loss_before, margin_before = measure()
    for step in range(60):
        index = batch(step)
        value = loss(net(X[index]), y[index])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    loss_after, margin_after = measure()
    assert loss_after < loss_before
    assert name in REGULARISERS or margin_after > margin_before + 0.1


def test_all_public_losses_are_listed_or_excused() -> None:
    from pytorch_metric_learning import losses

    public = {name for name, _ in inspect.getmembers(losses, inspect.isclass)}
    assert {f.removeprefix("pml:") for f in LOSSES} | set(pml.UNFIT) == public
    assert set(LOSSES) <= set(registry.names("losses"))


def test_parameters_are_the_originals_and_reach_it() -> None:
    loss = registry.create("losses", "pml:NTXentLoss", temperature=0.3)
    assert loss.inner.temperature == 0.3
    assert clone(loss).set_params(temperature=0.5).inner.temperature == 0.5
    assert {"temperature", "distance", "reducer"} <= set(loss.get_params())
    arcface = registry.create("losses", "pml:ArcFaceLoss")
    assert "num_classes" not in arcface.get_params()
    with pytest.raises(InvalidParameterError, match=r"'temprature'.*Did you mean 'temperature'"):
        registry.create("losses", "pml:NTXentLoss", temprature=1)


def test_sizes_are_given_by_build_and_weights_are_parameters() -> None:
    loss = registry.create("losses", "pml:ArcFaceLoss")
    with pytest.raises(NotBuiltError, match="build"):
        loss(torch.zeros(2, 4), torch.zeros(2).long())
    loss.build(4, 3)
    assert [tuple(p.shape) for p in loss.parameters()] == [(4, 3)]
    weights = loss.inner.W
    assert loss.build(4, 3).inner.W is weights


def test_classes_are_cached_importable_and_pickle() -> None:
    from siamesekit.losses.pml import NTXentLoss  # type: ignore[attr-defined]

    assert registry.get("losses", "pml:NTXentLoss") is NTXentLoss
    loss = NTXentLoss(temperature=0.2)
    for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
        assert type(other) is NTXentLoss
        assert other.inner.temperature == 0.2
    assert registry.name_of("losses", loss) == "pml:NTXentLoss"


def test_unknown_and_unfit_names_say_why() -> None:
    with pytest.raises(UnknownPartError, match=r"Did you mean 'NTXentLoss'"):
        registry.get("losses", "pml:NTXentLos")
    with pytest.raises(UnknownPartError, match="two views"):
        registry.get("losses", "pml:VICRegLoss")
    with pytest.raises(UnknownPartError, match="not by their labels"):
        registry.get("losses", "pml:SmoothAPLoss")
    with pytest.raises(AttributeError):
        pml.NoSuchLoss  # noqa: B018


def test_chosen_tuples_are_used() -> None:
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 0, 1, 1])
    loss = registry.create("losses", "pml:ContrastiveLoss")
    pairs = Pairs(torch.tensor([0, 2, 0]), torch.tensor([1, 3, 2]))
    triplets = Triplets(torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([2, 0]))
    unit = nn.functional.normalize(z, dim=1)
    d = torch.cdist(unit, unit)
    expected = (d[0, 1] + d[2, 3]) / 2 + (1 - d[0, 2]).clamp(min=0)
    torch.testing.assert_close(loss(z, y, pairs), expected)
    torch.testing.assert_close(loss(z, y, triplets), expected)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    assert pml.fitting() == []
    with pytest.raises(ImportError, match="need pytorch-metric-learning"):
        registry.get("losses", "pml:NeverAskedForLoss")


@pytest.mark.parametrize("name", LOSSES)
def test_equal_items_are_charged(name: str) -> None:
    """Their cosine is 1 or a little more; some of the wrapped losses fail there by themselves."""
    some = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    z = some.repeat(2, 1).requires_grad_()
    y = torch.arange(4).repeat(4)
    with drawing_from(0):
        loss = registry.create("losses", name).build(16, 4)
        value = loss(z, y)
    value.backward()
    assert value.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_a_batch_or_a_choice_that_a_loss_does_not_take_is_named() -> None:
    z, y = torch.randn(5, 8), torch.tensor([0, 0, 1, 1, 1])
    pairs = Pairs(torch.tensor([0, 2, 0]), torch.tensor([1, 3, 2]))
    with pytest.raises(InvalidDataError, match=r"'pml:PNPLoss' .*not supported.*miner=None"):
        registry.create("losses", "pml:PNPLoss")(z, y, pairs)

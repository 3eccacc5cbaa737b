"""A network that starts as the best comparison without training."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from siamesekit.backbones import ResidualMLP, WhitenedNet
from siamesekit.backbones._start import Choice, choose_start
from siamesekit.errors import InvalidParameterError


def started(items: Tensor, labels: Tensor, **parameters: int) -> ResidualMLP:
    net = ResidualMLP(**parameters).build(tuple(items.shape[1:]))
    net.start(lambda network: network(items), labels)
    return net.eval()


def drawn(classes: int, n: int = 240, d: int = 10, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    means = np.zeros((classes, d))
    means[:, :3] = 3 * rng.normal(size=(classes, 3))
    noise = np.ones(d)
    noise[3:] = 6
    items = means[labels] + noise * rng.normal(size=(n, d))
    return torch.from_numpy(items).float(), torch.from_numpy(labels)


def test_it_starts_as_the_identity_of_directions() -> None:
    net = ResidualMLP().build((6,)).eval()
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(x), functional.normalize(x, dim=1) * 6**0.5)
    assert torch.equal(net.train()(x), net.eval()(x))


def test_loud_directions_within_classes_are_whitened() -> None:
    items, labels = drawn(12)
    chosen = choose_start(items, labels)
    assert chosen.choice.shrinkage < 1
    net = started(items, labels)
    new = drawn(12, seed=1)[0]
    quiet, loud = (
        (net(new)[:, part].var(0).mean() / (new / new.std(0))[:, part].var(0).mean()).item()
        for part in (slice(0, 3), slice(3, None))
    )
    assert quiet > 1.5 * loud


def test_features_as_given_come_back_from_standardised_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    given = (torch.rand(60, 30, generator=generator) < 0.1).double()
    given[:, 0] = 1  # no item is empty
    offset, scale = given.mean(0), given.std(0).clamp_min(0.1)
    choice = Choice("as given", True, 1.0)
    start = choose_start((given - offset) / scale, torch.arange(60) % 6, scale, offset, choice)
    back = ((given - offset) / scale).float() * start.scale + start.offset
    # All features by the same number: directions are as given.
    expected = functional.normalize(given.float(), dim=1)
    torch.testing.assert_close(functional.normalize(back, dim=1), expected, rtol=1e-4, atol=1e-5)


def test_huge_offsets_leave_features_as_given_out() -> None:
    items, labels = drawn(12)
    offset = torch.full((10,), 1e9, dtype=torch.double)
    start = choose_start(items, labels, torch.ones(10, dtype=torch.double), offset)
    assert start.choice.geometry != "as given"
    assert start.offset.abs().max() < 1e3


def test_few_classes_have_the_candidate_that_fits_most_data() -> None:
    items, labels = drawn(3)
    assert choose_start(items, labels).choice == ("standardised", True, 0.5)
    alone = choose_start(items[:4], torch.arange(4))
    assert alone.directions.shape == (10, 0)


def test_many_features_of_few_items() -> None:
    items, labels = drawn(12, n=48, d=300)
    net = started(items, labels, hidden=4)
    assert net(items).shape == (48, 300)
    assert torch.isfinite(net(items)).all()


def test_a_share_of_what_was_learned() -> None:
    items, labels = drawn(12)
    net = started(items, labels)
    before = net(items)
    with torch.no_grad():
        net.network.learned[-1].bias.fill_(1.0)  # type: ignore[union-attr, index, operator]
    torch.testing.assert_close(net(items), before + 1)
    net.share = 0.25
    torch.testing.assert_close(net(items), before + 0.25)
    torch.testing.assert_close(net.train()(items), before + 1)  # in training all of it
    with pytest.raises(InvalidParameterError, match="share"):
        net.share = 2


def test_one_that_has_started_stays_so_and_is_loaded_so() -> None:
    items, labels = drawn(12)
    net = started(items, labels)
    before = net.eval()(items)
    net.start(lambda network: network(items * 3 + 1), labels)
    assert torch.equal(net(items), before)
    other = ResidualMLP().build((10,))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.eval()(items), before)


def test_a_wrapper_starts_what_it_wraps() -> None:
    items, labels = drawn(12)
    outer = WhitenedNet(ResidualMLP()).build((10,))
    outer.start(lambda network: network(items), labels)
    assert bool(outer.inner.network.started)  # type: ignore[union-attr, operator]
    assert isinstance(outer.inner, nn.Module)


@pytest.mark.parametrize(("name", "value"), [("hidden", 0), ("dropout", 1.0)])
def test_bad_parameters_are_named(name: str, value: float) -> None:
    with pytest.raises(InvalidParameterError, match=name):
        ResidualMLP(**{name: value})  # type: ignore[arg-type]

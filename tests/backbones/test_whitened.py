"""Embeddings whitened by the covariance within classes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from siamesekit import SiameseClassifier
from siamesekit.backbones import MLP, ResidualNet, TurnedNet, WhitenedNet
from siamesekit.errors import InvalidDataError, InvalidParameterError, NotBuiltError
from siamesekit.training import TrainingLine

LABELS = torch.arange(400) % 8


def items() -> torch.Tensor:
    """Return 8 classes of 50 vectors that spread 5 times as far along their first direction."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(8, 6, generator=generator)
    noise = torch.randn(400, 6, generator=generator) * torch.tensor([1.0, 0.2, 0.2, 0.2, 0.2, 0.2])
    return centres[LABELS] + noise


def finished(shrinkage: float) -> WhitenedNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = WhitenedNet(MLP(hidden=(8,), units=4), shrinkage).build((6,)).eval()
    with torch.no_grad():
        net.finish(lambda network: network(items()), LABELS)
    return net


def within(vectors: torch.Tensor) -> torch.Tensor:
    means = torch.stack([vectors[k == LABELS].mean(0) for k in range(8)])
    off = vectors - means[LABELS]
    return off.T @ off / (len(off) - 8)


def test_classes_spread_alike_in_all_directions() -> None:
    with torch.no_grad():
        covariance = within(finished(1e-6)(items()))
    torch.testing.assert_close(
        covariance, covariance.diagonal().mean() * torch.eye(4), rtol=1e-3, atol=1e-5
    )


def test_full_shrinkage_leaves_unit_embeddings_as_they_are() -> None:
    net = finished(1.0)
    with torch.no_grad():
        plain = torch.nn.functional.normalize(net.inner(items()), dim=1)
        torch.testing.assert_close(net(items()), plain)


def test_training_and_an_unfinished_network_pass_unit_embeddings() -> None:
    net = finished(0.5)
    fresh = WhitenedNet(net.inner).build((6,))
    x = items()[:5]
    with torch.no_grad():
        plain = torch.nn.functional.normalize(net.inner(x), dim=1)
        assert not torch.allclose(net(x), plain, atol=1e-2)
        torch.testing.assert_close(fresh.eval()(x), plain)
        net.train()
        net.inner.eval()  # its own layers standardise by the batch in training
        torch.testing.assert_close(net(x), plain)


def test_turned_views_are_whitened_one_by_one() -> None:
    turned = TurnedNet(WhitenedNet(ResidualNet(widths=(4,)))).build((1, 8, 8)).eval()
    x = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    seen = []

    def embed(network: torch.nn.Module) -> torch.Tensor:
        seen.append(network)
        return network(x)

    with torch.no_grad():
        before = turned(x)
        turned.finish(embed, torch.arange(40) % 5)
        assert seen == [turned.inner.inner]
        assert not torch.allclose(turned(x), before, atol=1e-2)
        torch.testing.assert_close(turned(x).norm(dim=1), torch.ones(40))


def test_a_classifier_finishes_it_and_saves_the_map(tmp_path: Path) -> None:
    X, y = items().numpy(), LABELS.numpy()
    backbone = WhitenedNet(MLP(hidden=(8,), units=4))
    classifier = SiameseClassifier(backbone, max_epochs=1, random_state=0).fit(X, y)
    matrix = classifier.backbone_.state_dict()["network.matrix"]
    assert not torch.allclose(matrix, torch.eye(4), atol=1e-2)
    classifier.save(tmp_path / "model")
    loaded = SiameseClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), classifier.transform(X))


def test_training_that_goes_on_is_watched_without_the_old_map() -> None:
    X, y = items().numpy(), LABELS.numpy()
    net = finished(0.5)
    seen = []

    def validate(line: TrainingLine) -> float:
        seen.append(line.backbone.state_dict()["network.matrix"].numel())
        return 0.0

    SiameseClassifier(net, max_epochs=1, random_state=0, validation=validate).fit(X, y)
    assert seen == [0]
    assert net.state_dict()["network.matrix"].shape == (4, 4)


@pytest.mark.parametrize("labels", [np.r_[np.zeros(60), 1, 2], np.arange(62) // 2])
def test_a_classifier_finishes_on_classes_of_two_items_and_more(
    labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siamesekit.estimators._fitting._FINISHING", 10)
    X = items().numpy()[: len(labels)]
    backbone = WhitenedNet(MLP(hidden=(8,), units=4))
    fitted = SiameseClassifier(backbone, max_epochs=1, random_state=0).fit(X, labels).backbone_
    assert fitted.state_dict()["network.matrix"].shape == (4, 4)


def test_drawings_that_are_all_alike_leave_embeddings_as_they_are() -> None:
    net = WhitenedNet(MLP(hidden=(8,), units=4)).build((6,)).eval()
    x = items()[:8].repeat(3, 1)
    with torch.no_grad():
        plain = net(x)
        net.finish(lambda network: network(x), torch.arange(24) % 8)
        torch.testing.assert_close(net(x), plain)


def test_double_precision_is_no_obstacle() -> None:
    net = finished(0.5).double()
    assert net(items().double()).shape == (400, 4)
    net.finish(lambda network: network(items().double()), LABELS)


def test_bad_input_is_named() -> None:
    with pytest.raises(InvalidParameterError, match="shrinkage"):
        WhitenedNet(shrinkage=0.0)
    with pytest.raises(InvalidParameterError, match="backbone must be"):
        WhitenedNet(5)  # type: ignore[arg-type]
    with pytest.raises(NotBuiltError, match="WhitenedNet"):
        WhitenedNet().finish(lambda network: torch.zeros(2, 2), torch.zeros(2))
    net = WhitenedNet(MLP(hidden=(8,), units=4)).build((6,)).eval()
    with pytest.raises(InvalidDataError, match="3 items of 3 classes"):
        net.finish(lambda network: torch.ones(3, 4), torch.arange(3))
    with pytest.raises(InvalidDataError, match="not finite"):
        net.finish(lambda network: torch.full((4, 4), torch.nan), torch.tensor([0, 0, 1, 1]))

